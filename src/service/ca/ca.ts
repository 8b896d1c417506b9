import {chmod, mkdir, readFile, rename, writeFile} from 'node:fs/promises'
import {join} from 'node:path'

import {signHostCertificate, signUserCertificate} from '../../ssh/certificate.ts'
import {generateKeyPair} from '../../ssh/keys.ts'

/** Clocks differ: a certificate begins a little before it was made. */
const SKEW_MS = 60_000
const DAY_MS = 86_400_000

export interface CertificateAuthority {
  /** Public key line of the CA that gates trust for users. */
  readonly userCa: string
  /** Public key line of the CA that clients trust for gates. */
  readonly hostCa: string
  /** User certificate that opens exactly the account of one path. */
  signPath(request: {
    publicKey: string
    serial: number
    pathId: string
    userName: string
    /** Epoch ms by the clock of the gate that judges it. */
    from: number
    until: number
  }): string
  /** Host certificate of a gate; its principal is the gate's id. The same text for 30 days, so that gates can compare. */
  signGate(gateId: string, hostKey: string, now: number): string
}

/** The principal that the path's certificate carries and its account admits. */
export const principal = (pathId: string) => `path-${pathId}`

async function loadKey(directory: string, name: string) {
  const file = join(directory, name)
  const existing = await readFile(file, 'utf8').catch(() => undefined)
  if (existing !== undefined)
    return {privateKey: existing, publicKey: (await readFile(`${file}.pub`, 'utf8')).trim()}
  const pair = generateKeyPair(`os-ssh ${name}`)
  await writeFile(`${file}.pub`, `${pair.publicKey}\n`)
  await writeFile(`${file}.new`, pair.privateKey, {mode: 0o600})
  // The private key appears last and whole: it is what says that the pair exists.
  await rename(`${file}.new`, file)
  return pair
}

/**
 * Loads the user CA and the host CA from `directory` (0700, keys 0600), making them on first use.
 *
 * @throws Error of the file system
 */
export async function openCa(directory: string): Promise<CertificateAuthority> {
  await mkdir(directory, {recursive: true, mode: 0o700})
  await chmod(directory, 0o700)
  const user = await loadKey(directory, 'user_ca')
  const host = await loadKey(directory, 'host_ca')
  return {
    userCa: user.publicKey,
    hostCa: host.publicKey,
    signPath: ({publicKey, serial, pathId, userName, from, until}) =>
      signUserCertificate({
        caPrivateKey: user.privateKey,
        publicKey,
        serial: BigInt(serial),
        keyId: `${userName} ${principal(pathId)}`,
        principals: [principal(pathId)],
        validAfter: new Date(from - SKEW_MS),
        validBefore: new Date(until),
        extensions: ['permit-port-forwarding'],
      }),
    signGate: (gateId, hostKey, now) => {
      const window = Math.floor(now / (30 * DAY_MS)) * 30 * DAY_MS
      return signHostCertificate({
        caPrivateKey: host.privateKey,
        publicKey: hostKey,
        serial: 0n,
        keyId: `gate ${gateId}`,
        principals: [gateId],
        validAfter: new Date(window - DAY_MS),
        validBefore: new Date(window + 90 * DAY_MS),
      })
    },
  }
}
