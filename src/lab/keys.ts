import {createHash, generateKeyPairSync, randomBytes} from 'node:crypto'

/** An Ed25519 key pair in OpenSSH's own formats. */
export interface SshKeyPair {
  /** `-----BEGIN OPENSSH PRIVATE KEY-----`, not encrypted. */
  readonly private_key: string
  /** `ssh-ed25519 BASE64 COMMENT` */
  readonly public_key: string
}

function text(value: string | Buffer): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

/**
 * Makes an Ed25519 key pair without starting ssh-keygen: a lab needs twenty of them in a hurry.
 * Format: openssh-portable, PROTOCOL.key.
 */
export function newSshKey(comment: string): SshKeyPair {
  const pair = generateKeyPairSync('ed25519')
  const pub = Buffer.from(pair.publicKey.export({format: 'jwk'}).x ?? '', 'base64url')
  const secret = Buffer.from(pair.privateKey.export({format: 'jwk'}).d ?? '', 'base64url')
  const blob = Buffer.concat([text('ssh-ed25519'), text(pub)])
  const check = randomBytes(4)
  let inner = Buffer.concat([check, check, blob, text(Buffer.concat([secret, pub])), text(comment)])
  for (let pad = 1; inner.length % 8 !== 0; pad++) inner = Buffer.concat([inner, Buffer.from([pad])])
  const whole = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    text('none'),
    text('none'),
    text(''),
    Buffer.from([0, 0, 0, 1]),
    text(blob),
    text(inner),
  ])
  const lines = whole.toString('base64').match(/.{1,70}/g) ?? []
  return {
    private_key: `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines.join('\n')}\n-----END OPENSSH PRIVATE KEY-----\n`,
    public_key: `ssh-ed25519 ${blob.toString('base64')} ${comment}`,
  }
}

/** Nova's fingerprint of a public key line: MD5 of the blob, colon separated. */
export function md5Fingerprint(line: string): string {
  const digest = createHash('md5')
    .update(Buffer.from(line.split(' ')[1] ?? '', 'base64'))
    .digest('hex')
  return (digest.match(/../g) ?? []).join(':')
}

/** OpenSSH's fingerprint of a public key line. */
export function sha256Fingerprint(line: string): string {
  const blob = Buffer.from(line.split(' ')[1] ?? '', 'base64')
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`
}
