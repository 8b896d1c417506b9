import {execFileSync} from 'node:child_process'
import {readFileSync} from 'node:fs'
import {join} from 'node:path'

/** A key and a certificate for it that nobody vouches for. */
export interface SelfSigned {
  /** Files. */
  readonly key: string
  readonly cert: string
  /** What a server takes. */
  readonly tls: {readonly key: string; readonly cert: string}
}

/** @param names as subjectAltName has them */
export function selfSigned(directory: string, names: string, name = 'server'): SelfSigned {
  const [key, cert] = [join(directory, `${name}-key.pem`), join(directory, `${name}.pem`)]
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=${names}`]
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1']
  execFileSync('openssl', ['req', '-x509', ...kind, '-keyout', key, '-out', cert, ...subject], {
    stdio: 'ignore',
  })
  return {key, cert, tls: {key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8')}}
}
