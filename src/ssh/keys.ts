import {createHash, createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes} from 'node:crypto'

import {OsSshError} from '../errors.ts'
import {Reader, string, u32} from './wire.ts'

/** A public key line taken apart; `blob` is the decoded wire form. */
export interface PublicKey {
  readonly type: string
  readonly blob: Buffer
  readonly comment: string
}

/** A key pair as OpenSSH's own texts. The private one is not encrypted: keep it in memory or in a keychain. */
export interface KeyPairText {
  readonly privateKey: string
  readonly publicKey: string
}

const ED25519 = 'ssh-ed25519'
const PEM_BEGIN = '-----BEGIN OPENSSH PRIVATE KEY-----'
const PEM_END = '-----END OPENSSH PRIVATE KEY-----'
const MAGIC = Buffer.from('openssh-key-v1\0')

const point = (curve: string, length: number) => (fields: Reader) => {
  if (fields.text() !== curve) return false
  const bytes = fields.string()
  return bytes.length === length && bytes[0] === 4
}
const ed25519 = (fields: Reader) => fields.string().length === 32
const application = (fields: Reader) => /^[\x21-\x7e]{1,255}$/.test(fields.text())

/** What may follow the type in a key's blob: the allow-list of key types (no DSA, no certificates). */
const shapes: Readonly<Record<string, (fields: Reader) => boolean>> = {
  [ED25519]: ed25519,
  'ssh-rsa'(fields) {
    const [e, n] = [fields.string(), fields.string()]
    return e.length >= 1 && e.length <= 8 && n.length >= 128 && n.length <= 2049
  },
  'ecdsa-sha2-nistp256': point('nistp256', 65),
  'ecdsa-sha2-nistp384': point('nistp384', 97),
  'ecdsa-sha2-nistp521': point('nistp521', 133),
  'sk-ssh-ed25519@openssh.com': fields => ed25519(fields) && application(fields),
  'sk-ecdsa-sha2-nistp256@openssh.com': fields => point('nistp256', 65)(fields) && application(fields),
}

/**
 * Takes an OpenSSH public key line apart (sshd(8), AUTHORIZED_KEYS FILE FORMAT, without options).
 * @throws OsSshError USAGE for anything but one line of an allowed type whose blob parses to its last byte
 */
export function parsePublicKey(line: string): PublicKey {
  const match = /^([a-z0-9@.-]{1,64}) ([A-Za-z0-9+/]{1,8192}={0,2})(?: ([^\p{Cc}]{0,1024}))?$/u.exec(
    line.trim(),
  )
  if (!match) throw unusable('not one line of type, base64 and comment')
  const [, type = '', base64 = '', comment = ''] = match
  const shape = Object.hasOwn(shapes, type) ? shapes[type] : undefined
  if (!shape) throw unusable(`keys of type ${type} are not accepted`)
  const blob = Buffer.from(base64, 'base64')
  // Two spellings of one key would have two places in a database: only the canonical one is a key.
  if (blob.toString('base64') !== base64) throw unusable('its base64 is damaged')
  const fields = new Reader(blob)
  try {
    if (fields.text() === type && shape(fields) && fields.left === 0) return {type, blob, comment}
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
  }
  throw unusable(`its body is not a key of type ${type}`)
}

/** `SHA256:…` as `ssh-keygen -l` prints it. @throws OsSshError USAGE */
export function fingerprint(line: string): string {
  const digest = createHash('sha256').update(parsePublicKey(line).blob).digest('base64')
  return `SHA256:${digest.replace(/=+$/, '')}`
}

/** MD5 in colon separated hex, as Nova prints the fingerprint of a key pair. @throws OsSshError USAGE */
export function md5Fingerprint(line: string): string {
  const hex = createHash('md5').update(parsePublicKey(line).blob).digest('hex')
  return hex.match(/../g)?.join(':') ?? ''
}

/** Makes an Ed25519 key pair. `comment` is cut to what fits a key line. */
export function generateKeyPair(comment: string): KeyPairText {
  const name = comment.replace(/[^\x20-\x7e]/g, '?').slice(0, 255)
  const jwk = generateKeyPairSync('ed25519').privateKey.export({format: 'jwk'})
  const publicBytes = Buffer.from(jwk.x ?? '', 'base64url')
  const seed = Buffer.from(jwk.d ?? '', 'base64url')
  const blob = Buffer.concat([string(ED25519), string(publicBytes)])
  return {
    privateKey: pem(blob, Buffer.concat([blob, string(Buffer.concat([seed, publicBytes])), string(name)])),
    publicKey: `${ED25519} ${blob.toString('base64')} ${name}`.trim(),
  }
}

/** Frames the private part as in OpenSSH's PROTOCOL.key, without encryption. */
function pem(publicBlob: Buffer, privatePart: Buffer): string {
  const check = randomBytes(4)
  const body = Buffer.concat([check, check, privatePart])
  const padding = Buffer.from(Array.from({length: (8 - (body.length % 8)) % 8}, (_, index) => index + 1))
  const whole = Buffer.concat([
    MAGIC,
    ...['none', 'none', ''].map(string),
    u32(1),
    string(publicBlob),
    string(Buffer.concat([body, padding])),
  ])
  return [PEM_BEGIN, ...(whole.toString('base64').match(/.{1,70}/g) ?? []), PEM_END, ''].join('\n')
}

/** An Ed25519 private key ready to sign, with its public wire form and line. */
export interface SigningKey {
  readonly key: KeyObject
  readonly blob: Buffer
  readonly publicKey: string
}

/**
 * Reads an unencrypted Ed25519 private key in OpenSSH's format (PROTOCOL.key).
 * @throws OsSshError USAGE when it is something else; the message never quotes the key
 */
export function parsePrivateKey(text: string): SigningKey {
  const lines = text.trim().split(/\r?\n/)
  if (lines[0] !== PEM_BEGIN || lines.at(-1) !== PEM_END) throw unusable('not an OpenSSH private key')
  const bytes = Buffer.from(lines.slice(1, -1).join(''), 'base64')
  try {
    if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw unusable('not an OpenSSH private key')
    const outer = new Reader(bytes.subarray(MAGIC.length))
    const cipher = outer.text()
    if (cipher !== 'none') throw unusable('it is encrypted')
    outer.string() // kdf name
    outer.string() // kdf options
    if (outer.u32() !== 1) throw unusable('it holds more than one key')
    const blob = outer.string()
    const inner = new Reader(outer.string())
    inner.take(8) // two equal check numbers, for decryption
    if (inner.text() !== ED25519) throw unusable('not an Ed25519 key')
    inner.string() // public part, again
    const seed = inner.string().subarray(0, 32)
    const comment = inner.text()
    // RFC 8410: the fixed head of an Ed25519 PKCS #8, then the seed.
    const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
    const key = createPrivateKey({key: der, format: 'der', type: 'pkcs8'})
    return {key, blob, publicKey: `${ED25519} ${blob.toString('base64')} ${comment}`.trim()}
  } catch (error) {
    throw error instanceof OsSshError ? error : unusable('it is damaged')
  }
}

function unusable(why: string): OsSshError {
  return new OsSshError('USAGE', `this SSH key cannot be used: ${why}`, {
    hint: 'an OpenSSH key is expected, as `ssh-keygen -t ed25519` makes it',
  })
}
