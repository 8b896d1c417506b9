import {existsSync} from 'node:fs'
import {chmod, mkdir} from 'node:fs/promises'
import {join} from 'node:path'

import type {Logger} from 'pino'

import {OsSshError} from '../../errors.ts'
import {signHostCertificate, signUserCertificate} from '../../ssh/certificate.ts'
import {fingerprint, generateKeyPair, parsePrivateKey} from '../../ssh/keys.ts'
import {
  type CaKeys,
  type CaKind,
  fileOf,
  KINDS,
  noteLife,
  publish,
  put,
  ROLES,
  readKeys,
  stampOf,
  trusted,
} from './files.ts'

/** Clocks differ: a certificate begins a little before it was made. */
const SKEW_MS = 60_000
const DAY_MS = 86_400_000
/** The directory is looked at so often at most, ms. */
const LOOK_MS = 1000
/** So long nothing may have happened in it before it is read again, ms: a copy of it comes file by file. */
const SETTLED_MS = 1000

export interface CertificateAuthority {
  /** Public key lines of the CAs that gates trust for users; the one that signs is the first. Two during a rotation. */
  readonly userCas: readonly string[]
  /** Public key lines of the CAs that clients trust for gates; the one that signs is the first. Two during a rotation. */
  readonly hostCas: readonly string[]
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

export interface CaOptions {
  /** How long certificates live, s: written down for those who rotate the CA. */
  readonly certLife?: number
  /** Epoch ms, as the file system has it. */
  readonly now?: () => number
  readonly log?: Pick<Logger, 'info' | 'warn'>
}

/** The principal that the path's certificate carries and its account admits. */
export const principal = (pathId: string) => `path-${pathId}`

/** Makes the pair on first use. The private key appears last and whole: it is what says that the pair exists. */
async function ensureKey(directory: string, kind: CaKind): Promise<void> {
  const file = join(directory, fileOf(kind))
  if (existsSync(file)) return
  const other = ROLES.map(role => fileOf(kind, role)).find(name => existsSync(join(directory, name)))
  if (other !== undefined)
    throw new OsSshError('CONFIG', `${directory} has ${other}, but no ${fileOf(kind)}`, {
      hint: 'copy the whole directory, or restore it from its backup',
    })
  const pair = generateKeyPair(`os-ssh ${fileOf(kind)}`)
  await put(`${file}.pub`, `${pair.publicKey}\n`)
  await put(file, pair.privateKey)
}

type Both = Readonly<Record<CaKind, CaKeys>>

const readBoth = (directory: string): Both => ({
  user: readKeys(directory, 'user'),
  host: readKeys(directory, 'host'),
})

/** The keys as the files have them, within a second or two; what cannot be read changes nothing. */
function follow(directory: string, {now = Date.now, log}: CaOptions): () => Both {
  let known = stampOf(directory).text
  let keys = readBoth(directory)
  let looked = now()
  return () => {
    const at = now()
    // Clocks are set back, too.
    if (Math.abs(at - looked) < LOOK_MS) return keys
    looked = at
    const {text, newest} = stampOf(directory)
    if (text === known || Math.abs(at - newest) < SETTLED_MS) return keys
    try {
      const found = readBoth(directory)
      // Somebody was at it just then.
      if (stampOf(directory).text !== text) return keys
      if (JSON.stringify(told(found)) !== JSON.stringify(told(keys)))
        log?.info(told(found), 'the CAs have changed')
      keys = found
    } catch (err) {
      log?.warn({err}, 'the CAs cannot be read anew: those of before go on')
    }
    // What cannot be read is said once, and not read again before it has changed.
    known = text
    return keys
  }
}

/** Fingerprints of what is trusted, for the log; the one that signs is the first. */
const told = ({user, host}: Both) => ({
  user: trusted(user).map(fingerprint),
  host: trusted(host).map(fingerprint),
})

/**
 * Opens the user CA and the host CA of `directory` (0700, keys 0600), making them on first use. Follows what is changed there later,
 * by `service rotate-ca` or by a copy of another replica's directory.
 *
 * @throws OsSshError CONFIG for keys that cannot be used, Error of the file system
 */
export async function openCa(directory: string, options: CaOptions = {}): Promise<CertificateAuthority> {
  await mkdir(directory, {recursive: true, mode: 0o700})
  await chmod(directory, 0o700)
  for (const kind of KINDS) await ensureKey(directory, kind)
  if (options.certLife !== undefined) await noteLife(directory, options.certLife)
  const now = follow(directory, options)
  for (const kind of KINDS) await publish(directory, kind, now()[kind])
  return authority(now)
}

/** The user CA and the host CA by keys that somebody else keeps: OpenSSH private keys. They are never changed. */
export function memoryCa({user_ca, host_ca}: {readonly user_ca: string; readonly host_ca: string}) {
  const only = (privateKey: string): CaKeys => ({
    signs: {privateKey, publicKey: parsePrivateKey(privateKey).publicKey, since: 0},
    beside: {},
  })
  const both = {user: only(user_ca), host: only(host_ca)}
  return authority(() => both)
}

/** @param now the keys as they are now */
function authority(now: () => Both): CertificateAuthority {
  return {
    get userCas() {
      return trusted(now().user)
    },
    get hostCas() {
      return trusted(now().host)
    },
    signPath: ({publicKey, serial, pathId, userName, from, until}) =>
      signUserCertificate({
        caPrivateKey: now().user.signs.privateKey,
        publicKey,
        serial: BigInt(serial),
        keyId: `${userName} ${principal(pathId)}`,
        principals: [principal(pathId)],
        validAfter: new Date(from - SKEW_MS),
        validBefore: new Date(until),
        extensions: ['permit-port-forwarding'],
      }),
    signGate: (gateId, hostKey, time) => {
      const window = Math.floor(time / (30 * DAY_MS)) * 30 * DAY_MS
      return signHostCertificate({
        caPrivateKey: now().host.signs.privateKey,
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
