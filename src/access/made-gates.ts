import {setTimeout as sleep} from 'node:timers/promises'

import {OsSshError} from '../errors.ts'
import {plain, shortened} from '../names/plain.ts'
import type {Gate} from '../protocol/index.ts'
import {listGates} from './gates.ts'
import type {Session} from './session.ts'

/** How long is waited for gates to be made, and how often they are looked at, ms: whoever waits for the last one waits so much longer. */
const [MADE_MS, LOOK_MS] = [900_000, 200]
/** How long one that does not answer is waited for, ms: what heals it needs no more. */
const DOWN_MS = 120_000
/** How much of a reason a line of progress has, letters. */
const REASON = 160

/** A gate as it was last seen; it may be gone from the list. */
type Seen = Pick<Gate, 'id' | 'name' | 'reason'> & {readonly state: Gate['state'] | 'deleted'}

/**
 * Waits until gates that were asked for are made: ready, or drained by somebody meanwhile.
 *
 * @throws OsSshError CLOUD_REFUSED for one that could not be made, NOT_FOUND for one that somebody has deleted, BUSY for one that
 *   does not answer, and when it takes too long; with how the others are
 */
export async function made(session: Session, wanted: readonly Gate[]): Promise<Gate[]> {
  const since = Date.now()
  const down = new Map<string, number>()
  let told = ''
  for (;;) {
    const there = await listGates(session)
    const gates = wanted.map(
      ({id, name}): Seen => there.find(gate => gate.id === id) ?? {id, name, state: 'deleted'},
    )
    const waiting = gates.filter(gate => !isMade(gate))
    if (waiting.length === 0) return there.filter(({id}) => gates.some(gate => gate.id === id))
    for (const {id, state} of gates)
      if (state !== 'down') down.delete(id)
      else if (!down.has(id)) down.set(id, Date.now())
    const lost = gates.find(gate => fault(gate, down.get(gate.id)) !== undefined)
    const others = gates.filter(gate => gate !== lost).map(condition)
    const found = lost && fault(lost, down.get(lost.id))
    if (found) throw new OsSshError(found.code, [found.message, ...others].join('; '), found.hint)
    const seconds = Math.round((Date.now() - since) / 1000)
    if (Date.now() - since > MADE_MS)
      throw new OsSshError('BUSY', `after ${seconds} s ${gates.map(condition).join('; ')}`, LIST)
    const line = `${waiting.map(condition).join('; ')}, ${seconds} s …`
    // One a second, however often they are looked at.
    if (line !== told) session.progress(line)
    told = line
    await sleep(LOOK_MS)
  }
}

const LIST = {hint: 'see os-ssh gate list; the service goes on'}

/** Whether it is what was asked for, whoever has drained it since. */
const isMade = ({state}: Seen) => state === 'ready' || state === 'draining'

/** Why one is not worth waiting for. @param down since when it is, epoch ms */
function fault({name, state, reason}: Seen, down = Date.now()) {
  const why = reason === undefined ? '' : `: ${plain(reason)}`
  if (state === 'failed') {
    const hint = 'what there was of it is deleted; os-ssh gate list shows it for an hour'
    return {code: 'CLOUD_REFUSED', message: `${plain(name)} could not be made${why}`, hint: {hint}} as const
  }
  if (state === 'deleting' || state === 'deleted') {
    const hint = 'who has done it, and why: the audit of the service'
    return {code: 'NOT_FOUND', message: `${plain(name)} was deleted meanwhile${why}`, hint: {hint}} as const
  }
  const silent = Date.now() - down
  if (silent <= DOWN_MS) return undefined
  const message = `${plain(name)} is down for ${Math.round(silent / 1000)} s${why}`
  return {code: 'BUSY', message, hint: LIST} as const
}

/** How it is, for people. */
const condition = ({name, state, reason}: Seen) =>
  `${plain(name)} is ${state}${reason === undefined ? '' : ` (${shortened(reason, REASON)})`}`
