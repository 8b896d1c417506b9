import {createCipheriv, createDecipheriv, randomBytes, scrypt} from 'node:crypto'
import {promisify} from 'node:util'

/** scrypt as OWASP advises: 2^15, 8, 3, 32 MiB. */
const COST = {N: 2 ** 15, r: 8, p: 3}
const derive = promisify<string, Buffer, number, object, Buffer>(scrypt)

/** As base64: what a passphrase becomes a key with. */
export const newSalt = () => randomBytes(16).toString('base64')

/** The key that scrypt makes of a passphrase. */
export function keyOf(passphrase: string, salt: string): Promise<Buffer> {
  const bytes = Buffer.from(salt, 'base64')
  return derive(passphrase.normalize('NFC'), bytes, 32, {...COST, maxmem: 128 * 1024 * 1024})
}

/** Seals with AES-256-GCM. @param name what it is, which must be said again when it is opened @returns base64 */
export function seal(secret: string | Buffer, name: string, key: Buffer): string {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(name))
  return Buffer.concat([nonce, cipher.update(secret), cipher.final(), cipher.getAuthTag()]).toString('base64')
}

/** @throws Error for another key or name, and for what was changed since */
export function unseal(sealed: string, name: string, key: Buffer): Buffer {
  const bytes = Buffer.from(sealed, 'base64')
  const cipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12), {authTagLength: 16})
  cipher.setAAD(Buffer.from(name)).setAuthTag(bytes.subarray(-16))
  return Buffer.concat([cipher.update(bytes.subarray(12, -16)), cipher.final()])
}
