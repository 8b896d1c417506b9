import type {MachineRow} from '../store/schema.ts'
import type {Wish} from './choice/plan.ts'
import type {GatesConfig} from './config.ts'

/* How many gates there shall be, and what is done with one that has gone silent. No clock, no cloud: what is, in; what to do, out. */

/** What the operator has configured of the choice. */
export function wishOf({image, flavor, network, external, address}: GatesConfig, zone: string | null): Wish {
  const said = {image, flavor, network, external, address, zone: zone ?? undefined}
  return Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined))
}

/** What a path needs a gate for. */
export interface Need {
  /** The project of the VM. */
  readonly project_id: string
  /** Availability zone of the gate. */
  readonly zone: string | null
}

type Counted = Pick<MachineRow, 'state' | 'scope' | 'serves' | 'zone' | 'since' | 'created_at'> & {
  /** It takes no new paths, and so is nobody's reason to do without one. */
  readonly isDrained?: boolean
}
type Limits = Pick<GatesConfig, 'max' | 'perZone' | 'perProject' | 'scope'>

/** What may be done for a need now. */
export type Verdict =
  | {readonly deploy: true}
  /** One is on its way, since then (epoch ms). */
  | {readonly booting: number}
  /** A sentence. */
  | {readonly no: string}

/** After failures in a row: the first pause and the longest, and for how long they are remembered, ms. */
const [PAUSE_MS, LONGEST_MS, MEMORY_MS] = [30_000, 900_000, 3_600_000]

const isAlive = ({state}: Counted) => state === 'wanted' || state === 'booting' || state === 'running'
const isUsed = (row: Counted) => isAlive(row) && row.isDrained !== true
const isUnderWay = ({state}: Counted) => state === 'wanted' || state === 'booting'

/** How many gates there may be more. */
export const room = (rows: readonly Counted[], {max}: Pick<GatesConfig, 'max'>) =>
  max - rows.filter(isAlive).length

/**
 * May a gate be deployed for this?
 *
 * @param serves the project that it would serve, null for its own; with scope `shared` all
 */
export function verdict(
  rows: readonly Counted[],
  {zone, serves}: {readonly zone: string | null; readonly serves: string | null},
  limits: Limits,
  now: number,
): Verdict {
  const here = rows.filter(row => row.zone === zone)
  const coming = here.find(isUnderWay)
  if (coming !== undefined) return {booting: coming.created_at}
  if (room(rows, limits) <= 0)
    return {no: `there are ${limits.max} gates, as many as there may be (gates.max)`}
  if (here.filter(isUsed).length >= limits.perZone)
    return {no: `the zone has its ${limits.perZone} gates (gates.per_zone)`}
  const alike = rows.filter(row => isUsed(row) && row.scope === 'project' && row.serves === serves)
  if (limits.scope === 'project' && alike.length >= limits.perProject)
    return {no: `the project has its ${limits.perProject} gates (gates.per_project)`}
  const lost = here.filter(row => row.state === 'failed' && now - row.since < MEMORY_MS)
  const last = lost.reduce((latest, row) => Math.max(latest, row.since), 0)
  const since = here.reduce(
    (latest, row) => (row.state === 'running' ? Math.max(latest, row.since) : latest),
    0,
  )
  const inRow = lost.filter(row => row.since > since)
  const pause = inRow.length === 0 ? 0 : Math.min(PAUSE_MS * 2 ** (inRow.length - 1), LONGEST_MS)
  const left = last + pause - now
  if (inRow.length > 0 && left > 0) {
    return {no: `the last one could not be made; the next try is in ${Math.ceil(left / 1000)} s`}
  }
  return {deploy: true}
}

/** So long a gate that went silent, or was told to start, is expected back, ms: paths wait for it. */
const BACK_MS = 60_000

/** Is it worth waiting for a machine whose gate is down? */
export const isExpected = (
  {silent_since, rebooted_at}: Pick<MachineRow, 'silent_since' | 'rebooted_at'>,
  now: number,
) => silent_since === null || now - Math.max(silent_since, rebooted_at ?? 0) < BACK_MS

/** A running machine, its gate, and its server as Nova says. */
export interface Seen {
  readonly machine: Pick<MachineRow, 'id' | 'silent_since' | 'rebooted_at'>
  /** Does the gate answer us? */
  readonly isDown: boolean
  /** Nova's status; undefined: there is no such server. */
  readonly status: string | undefined
  /** Has Nova given it another disk, and shows it another host key since? */
  readonly isRebuilt: boolean
}

/** Why a silent one is replaced. */
export const MUTE = 'it does not answer, not even after a reboot'
/** Why one goes; what an operator has drained has another reason, or none. */
export const SPARE = 'nobody needs it'

/** What is to be done with a machine; `wait` with what keeps it. */
export type Care =
  | {readonly do: 'nothing'}
  | {readonly do: 'replace'; readonly why: string}
  | {readonly do: 'start' | 'reboot' | 'silent'}
  | {readonly do: 'heard'}
  | {readonly do: 'wait'; readonly why: string}

/** A server that was told to do something has so long until it is told again, ms. */
const AGAIN_MS = 60_000

/**
 * Gone, in ERROR or rebuilt: replaced at once. ACTIVE and silent: rebooted, and, if it stays silent, replaced when another gate answers us;
 * else the fault may be our own way out, and nothing is destroyed.
 *
 * @param silence ms
 */
export function care(
  {machine, isDown, status, isRebuilt}: Seen,
  othersAnswer: boolean,
  {now, silence}: {readonly now: number; readonly silence: number},
): Care {
  if (status === undefined || status === 'DELETED' || status === 'SOFT_DELETED')
    return {do: 'replace', why: 'its server is gone'}
  if (status === 'ERROR') return {do: 'replace', why: 'its server is in ERROR'}
  if (isRebuilt) return {do: 'replace', why: 'its server was rebuilt'}
  const {silent_since, rebooted_at} = machine
  if (!isDown) return silent_since === null ? {do: 'nothing'} : {do: 'heard'}
  if (silent_since === null) return {do: 'silent'}
  const told = rebooted_at ?? 0
  if (status === 'SHUTOFF') return now - told < AGAIN_MS ? {do: 'nothing'} : {do: 'start'}
  if (status !== 'ACTIVE') return {do: 'wait', why: `its server is ${status}`}
  if (now - Math.max(silent_since, told) < silence) return {do: 'nothing'}
  if (told < silent_since) return {do: 'reboot'}
  if (othersAnswer) return {do: 'replace', why: MUTE}
  return {
    do: 'wait',
    why: 'it does not answer, nor does any other gate: is the way out of the service open? os-ssh gate delete replaces it',
  }
}
