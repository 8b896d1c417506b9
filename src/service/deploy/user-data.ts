import ssh2 from 'ssh2'

import {template} from '../../system/template.ts'

/** What a gate is booted with. */
export interface BootData {
  /** Host name: letters, digits and hyphens. */
  readonly name: string
  /** Public key line of those who manage it. */
  readonly managementKey: string
  /** OpenSSH private key that its host has until the first contact. */
  readonly hostKey: string
  /** What its image understands: cloud-init's own words, or a script of the shell. */
  readonly kind: 'cloud-config' | 'script'
}

const kinds = {
  'cloud-config': template('gate/cloud-init.yaml.eta'),
  script: template('gate/cloud-init.sh.eta'),
}

/** The `user_data` of a gate for Nova, base64. */
export function userData({kind, hostKey, ...data}: BootData): string {
  const text = kinds[kind]({...data, hostKey: hostKey.trim(), hostPublicKey: publicKeyOf(hostKey)})
  return Buffer.from(text).toString('base64')
}

/**
 * The public key of a private one as `type base64`.
 *
 * @param privateKey OpenSSH or PEM, without a passphrase
 * @throws Error when it is none
 */
export function publicKeyOf(privateKey: string): string {
  const key = ssh2.utils.parseKey(privateKey)
  if (key instanceof Error) throw key
  const [one] = Array.isArray(key) ? key : [key]
  if (one === undefined) throw new Error('no key')
  return `${one.type} ${one.getPublicSSH().toString('base64')}`
}
