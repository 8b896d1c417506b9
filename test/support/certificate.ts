import {createPublicKey, verify} from 'node:crypto'

import {Reader} from '../../src/ssh/wire.ts'

/* A certificate taken apart to its last byte, as OpenSSH's PROTOCOL.certkeys has it: what it says, and nothing that it does not. */

export interface Certificate {
  readonly type: string
  /** Of user (1) or host (2). */
  readonly kind: number
  readonly serial: bigint
  readonly id: string
  readonly principals: readonly string[]
  /** Epoch ms. */
  readonly from: number
  readonly until: number
  readonly critical: readonly string[]
  readonly extensions: readonly string[]
  readonly reserved: string
  /** Public key lines without comment: that it is about, and that has signed it. */
  readonly key: string
  readonly ca: string
}

function all(bytes: Buffer): string[] {
  const [fields, found] = [new Reader(bytes), [] as string[]]
  while (fields.left > 0) found.push(fields.string().toString('utf8'))
  return found
}

const ed25519 = (point: Buffer) => {
  const name = Buffer.from('\0\0\0\x0bssh-ed25519\0\0\0 ', 'latin1')
  return Buffer.concat([name, point])
}
const line = (blob: Buffer) => `ssh-ed25519 ${blob.toString('base64')}`

/** An Ed25519 certificate of an Ed25519 CA, one line. @throws Error when it is not signed by the CA that it names */
export function decoded(certificate: string): Certificate {
  const blob = Buffer.from(certificate.split(' ')[1] ?? '', 'base64')
  const fields = new Reader(blob)
  const time = () => Number(fields.take(8).readBigUInt64BE()) * 1000
  const type = fields.text()
  fields.string() // nonce
  const key = line(ed25519(fields.string()))
  const [serial, kind] = [fields.take(8).readBigUInt64BE(), fields.u32()]
  const [id, principals] = [fields.string().toString('utf8'), all(fields.string())]
  const [from, until] = [time(), time()]
  const [critical, extensions, reserved, authority] = [
    ...[all(fields.string()), all(fields.string())],
    ...[fields.text(), fields.string()],
  ] as [string[], string[], string, Buffer]
  const signed = blob.subarray(0, blob.length - fields.left)
  const signature = new Reader(fields.string())
  if (signature.text() !== 'ssh-ed25519' || fields.left > 0) throw new Error('not a certificate')
  // RFC 8410: the fixed head of an Ed25519 public key.
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), authority.subarray(-32)])
  if (!verify(null, signed, createPublicKey({key: der, format: 'der', type: 'spki'}), signature.string()))
    throw new Error('the certificate is not signed by the CA that it names')
  const who = {type, kind, serial, id, principals, from, until}
  return {...who, critical, extensions, reserved, key, ca: line(authority)}
}
