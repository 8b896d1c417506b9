import {createHmac, randomBytes, sign} from 'node:crypto'

import {parsePrivateKey, parsePublicKey} from './keys.ts'
import {string, u32, u64} from './wire.ts'

export interface CertificateRequest {
  /** The CA's Ed25519 private key, OpenSSH PEM. */
  readonly caPrivateKey: string
  /** The key to certify, one OpenSSH line. */
  readonly publicKey: string
  readonly serial: bigint
  /** Free text that sshd writes to its log. */
  readonly keyId: string
  readonly principals: readonly string[]
  readonly validAfter: Date
  readonly validBefore: Date
}

export interface UserCertificateRequest extends CertificateRequest {
  /** Default: `permit-port-forwarding` alone. */
  readonly extensions?: readonly string[]
  /** Comma separated addresses or CIDRs from which the certificate may be used. */
  readonly sourceAddress?: string
}

/** A user certificate as one line (OpenSSH PROTOCOL.certkeys). @throws OsSshError USAGE for unusable keys */
export function signUserCertificate(request: UserCertificateRequest): string {
  const {sourceAddress, extensions = ['permit-port-forwarding']} = request
  const critical = sourceAddress ? [string('source-address'), string(string(sourceAddress))] : []
  const permits = [...extensions].sort().flatMap(name => [string(name), string('')])
  return certify(1, request, Buffer.concat(critical), Buffer.concat(permits))
}

/**
 * A host certificate as one line; clients trust it by `@cert-authority`. The same request gives the same certificate, whoever
 * signs it and when: a gate that has it already needs no restart of its sshd.
 *
 * @throws OsSshError USAGE for unusable keys
 */
export function signHostCertificate(request: CertificateRequest): string {
  // What the nonce is for, that nobody can foretell what is signed, a keyed hash does as well as chance.
  const {caPrivateKey, serial, ...rest} = request
  const nonce = createHmac('sha256', caPrivateKey)
    .update(JSON.stringify([String(serial), rest]))
    .digest()
  return certify(2, request, Buffer.alloc(0), Buffer.alloc(0), nonce)
}

/** Parsed once: to parse it takes as long as to sign. */
const authorities = new Map<string, ReturnType<typeof parsePrivateKey>>()

function authority(key: string) {
  const ca = authorities.get(key) ?? parsePrivateKey(key)
  authorities.set(key, ca)
  return ca
}

function certify(
  kind: 1 | 2,
  request: CertificateRequest,
  critical: Buffer,
  extensions: Buffer,
  nonce = randomBytes(32),
): string {
  // To sshd an empty list means "every principal": never sign one.
  if (request.principals.length === 0 || request.principals.includes('')) {
    throw new TypeError('a certificate needs at least one principal')
  }
  const ca = authority(request.caPrivateKey)
  const {type, blob} = parsePublicKey(request.publicKey)
  const name = `${type.replace('@openssh.com', '')}-cert-v01@openssh.com`
  const body = Buffer.concat([
    string(name),
    string(nonce),
    blob.subarray(string(type).length), // the key's own fields
    u64(request.serial),
    u32(kind),
    string(request.keyId),
    string(Buffer.concat(request.principals.map(principal => string(principal)))),
    u64(seconds(request.validAfter)),
    u64(seconds(request.validBefore)),
    string(critical),
    string(extensions),
    string(''),
    string(ca.blob),
  ])
  const signature = Buffer.concat([string('ssh-ed25519'), string(sign(null, body, ca.key))])
  const keyId = request.keyId.replace(/[^\x21-\x7e]/g, '_')
  return `${name} ${Buffer.concat([body, string(signature)]).toString('base64')} ${keyId}`
}

const seconds = (date: Date) => BigInt(Math.floor(date.getTime() / 1000))
