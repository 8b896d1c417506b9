import {existsSync} from 'node:fs'
import {readFile, rename, rm} from 'node:fs/promises'
import {join} from 'node:path'

import {OsSshError} from '../../errors.ts'
import {fingerprint, generateKeyPair} from '../../ssh/keys.ts'
import {withLock} from '../../system/lock.ts'
import {
  type CaKeys,
  type CaKind,
  fileOf,
  KINDS,
  lifeIn,
  publish,
  put,
  ROLES,
  type Role,
  readKeys,
} from './files.ts'

/*
 * A rotation goes by phases, so that at each moment everybody trusts what anybody signs with, however late they hear of it:
 *
 *   begin     the next key is trusted beside the one that signs
 *   switch    the next key signs; the old one is trusted beside it
 *   finish    only the key that signs is trusted
 *   rollback  before switch: the next key is forgotten; after it: the old key signs again, the other is trusted until finish
 */

export const PHASES = ['begin', 'switch', 'finish', 'rollback'] as const
export type Phase = (typeof PHASES)[number]

/** One step, atomic; a rotation that ends after any of them is one that can be gone on with. */
export type Step =
  | {readonly does: 'make' | 'remove'; readonly file: string}
  | {readonly does: 'copy' | 'rename'; readonly file: string; readonly from: string}

/** How far the rotation of one CA is. */
export interface CaStatus {
  readonly type: CaKind
  /** The phase that it is in; `none` when there is no rotation. */
  readonly phase: 'none' | 'begin' | 'switch' | 'rollback'
  /** Fingerprint of the CA that signs, and of those that are trusted beside it. */
  readonly signs: string
  readonly trusts: readonly string[]
  /** When the phase began, and when the next one may, RFC 3339. */
  readonly since?: string
  readonly until?: string
}

export interface Rotation {
  readonly rows: readonly CaStatus[]
  /** What the operator does next, a sentence a line. */
  readonly next: readonly string[]
}

export interface RotateOptions {
  /** The service's state directory. */
  readonly state: string
  /** Which CA; both when absent. */
  readonly type?: CaKind | undefined
  /** Nothing is changed when absent. */
  readonly phase?: Phase | undefined
  /** Do not wait until everybody must have heard of the phase before. */
  readonly force?: boolean
  /** Epoch ms. */
  readonly now?: number
}

/** For copying the directory to the other replicas, for gates to be told, and for clocks that differ, ms. */
const MARGIN_MS = 10 * 60_000

const phaseOfRole = {next: 'begin', old: 'switch', undone: 'rollback'} as const satisfies Record<Role, string>

const roleOf = ({beside}: CaKeys): Role | undefined =>
  (['old', 'undone', 'next'] as const).find(role => beside[role])

/**
 * When the phase may be left, epoch ms. Clients are told of a host CA by each certificate, and users log in by one of the old CA
 * as long as it lives. Gates are told within a minute, and have then a host certificate of the CA that signs.
 */
function ripe(directory: string, kind: CaKind, keys: CaKeys): number | undefined {
  const role = roleOf(keys)
  const since = role && keys.beside[role]?.since
  if (role === undefined || since === undefined) return undefined
  const waits = role === 'next' ? kind === 'host' : kind === 'user'
  return since + (waits ? lifeIn(directory) * 1000 : 0) + MARGIN_MS
}

const time = (ms: number) => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')

function statusOf(directory: string, type: CaKind): CaStatus {
  const keys = readKeys(directory, type)
  const role = roleOf(keys)
  const [since, until] = [role && keys.beside[role]?.since, ripe(directory, type, keys)]
  const others = new Set(Object.values(keys.beside).map(key => fingerprint(key.publicKey)))
  return {
    type,
    phase: role === undefined ? 'none' : phaseOfRole[role],
    signs: fingerprint(keys.signs.publicKey),
    trusts: [...others],
    ...(since === undefined ? {} : {since: time(since)}),
    ...(until === undefined ? {} : {until: time(until)}),
  }
}

/** What must be so before a phase, in words; undefined: nothing is to be done, since it is so already. */
const moves: Readonly<Record<Phase, Readonly<Record<CaStatus['phase'], string | true | undefined>>>> = {
  begin: {
    none: true,
    begin: undefined,
    switch: 'a rotation is under way: --phase finish ends it',
    rollback: 'a rotation was rolled back: --phase finish ends it',
  },
  switch: {
    none: 'no rotation has begun: --phase begin is the first',
    begin: true,
    switch: undefined,
    rollback: 'the rotation was rolled back: --phase finish ends it, then begin another',
  },
  finish: {
    none: undefined,
    begin: 'the next CA does not sign yet: --phase switch comes first, or --phase rollback forgets it',
    switch: true,
    rollback: true,
  },
  rollback: {none: undefined, begin: true, switch: true, rollback: undefined},
}

/** The steps of a phase for one CA. The first ones clear away what an earlier run that was killed has left. */
export function stepsOf(directory: string, kind: CaKind, phase: Phase): readonly Step[] {
  const keys = readKeys(directory, kind)
  const file = (role?: Role) => fileOf(kind, role)
  const left = ROLES.filter(role => existsSync(join(directory, file(role))) && !keys.beside[role])
  const clear: Step[] = left.map(role => ({does: 'remove', file: file(role)}))
  const role = roleOf(keys)
  if (phase === 'begin') return [...clear, {does: 'make', file: file('next')}]
  if (phase === 'switch')
    return [
      ...clear,
      {does: 'copy', from: file(), file: file('old')},
      {does: 'rename', from: file('next'), file: file()},
    ]
  if (phase === 'rollback' && role === 'old')
    return [
      ...clear,
      {does: 'copy', from: file(), file: file('undone')},
      {does: 'rename', from: file('old'), file: file()},
    ]
  // Whatever is beside the one that signs.
  return [
    ...clear,
    ...Object.keys(keys.beside).map(other => ({does: 'remove' as const, file: file(other as Role)})),
  ]
}

/** Takes one step. @throws Error of the file system */
export async function take(directory: string, step: Step): Promise<void> {
  const file = join(directory, step.file)
  if (step.does === 'remove') await rm(file)
  else if (step.does === 'rename') await rename(join(directory, step.from), file)
  else if (step.does === 'copy') await put(file, await readFile(join(directory, step.from), 'utf8'))
  else {
    // The day tells the CAs in a gate's file apart.
    const name = `os-ssh ${step.file.split('.')[0]} ${time(Date.now()).slice(0, 10)}`
    await put(file, generateKeyPair(name).privateKey)
  }
}

/** Why a phase must wait, by what is waited for. */
const waiting: Readonly<Record<'switch' | 'finish', Readonly<Record<CaKind, string>>>> = {
  switch: {
    user: 'not all gates are sure to trust the next user CA before',
    host: 'not all clients are sure to trust the next host CA before',
  },
  finish: {
    user: 'certificates of the other user CA live until',
    host: 'gates may show certificates of the other host CA until',
  },
}

const byUntil = (a: CaStatus, b: CaStatus) => Date.parse(a.until ?? '') - Date.parse(b.until ?? '')

/** Refuses a phase that does not follow, or that comes before everybody must have heard of the last one. */
function check(rows: readonly CaStatus[], phase: Phase, force: boolean, now: number): void {
  for (const row of rows) {
    const move = moves[phase][row.phase]
    if (typeof move === 'string')
      throw new OsSshError('USAGE', `${row.type} CA: ${move}`, {
        hint: 'how far it is: os-ssh service rotate-ca',
      })
  }
  if (force || phase === 'begin' || phase === 'rollback') return
  const early = rows.filter(row => moves[phase][row.phase] && Date.parse(row.until ?? '') > now)
  const last = early.sort(byUntil).at(-1)
  if (last !== undefined)
    throw new OsSshError('BUSY', `${waiting[phase][last.type]} ${last.until}`, {
      hint: 'wait until then; --force does it now, and ssh that meets the gap asks for its path anew',
    })
}

/** What comes next, for the CAs as they are. */
function nextOf(rows: readonly CaStatus[], state: string, changed: boolean): readonly string[] {
  const copy = `with several replicas: copy ${join(state, 'ca')} to each now (rsync -a --delete)`
  const under = rows.filter(row => row.phase !== 'none')
  const follow = [...new Set(under.map(row => row.phase))].map(phase => {
    const own = under.filter(row => row.phase === phase).sort(byUntil)
    const type = own.length === KINDS.length ? '' : ` --type ${own[0]?.type}`
    const until = own.at(-1)?.until
    const [when, then] =
      phase === 'begin'
        ? [`all gates and clients trust the next CA from ${until} on`, 'switch']
        : [`the CA that does not sign any more is of use until ${until}`, 'finish']
    return `${when}; then: os-ssh service rotate-ca --state ${state}${type} --phase ${then}`
  })
  if (changed) return [copy, ...follow]
  return under.length === 0 ? ['no rotation is under way'] : follow
}

/**
 * Takes the CAs of a state directory to a phase of their rotation; the services that use it follow by themselves. A phase that
 * they are in already is taken again without harm, also one that was killed in the middle.
 *
 * @throws OsSshError USAGE for a phase that does not follow, BUSY when it is too early, CONFIG for keys that cannot be used
 */
export async function rotateCa({
  state,
  type,
  phase,
  force = false,
  now = Date.now(),
}: RotateOptions): Promise<Rotation> {
  const directory = join(state, 'ca')
  const kinds = type === undefined ? KINDS : [type]
  const rows = () => kinds.map(kind => statusOf(directory, kind))
  if (phase !== undefined) {
    // Before the lock, which wants the directory.
    rows()
    await withLock(join(directory, '.lock'), async () => {
      check(rows(), phase, force, now)
      const due = rows().filter(row => moves[phase][row.phase] !== undefined)
      for (const {type: kind} of due)
        for (const step of stepsOf(directory, kind, phase)) await take(directory, step)
      for (const kind of kinds) await publish(directory, kind, readKeys(directory, kind))
    })
  }
  const all = KINDS.map(kind => statusOf(directory, kind))
  return {rows: all, next: nextOf(all, state, phase !== undefined)}
}
