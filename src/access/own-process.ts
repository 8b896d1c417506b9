import {setTimeout as sleep} from 'node:timers/promises'

import {logOf} from '../embedded/place.ts'
import {stopAt} from '../embedded/stop.ts'
import {OsSshError} from '../errors.ts'
import {plain} from '../names/plain.ts'
import {readIfThere} from '../system/files.ts'
import {ownPlace} from './own-service.ts'
import type {Session} from './session.ts'

/** How often a log that is followed is read, ms. */
const LOOK_MS = 500

/** Has one's own service leave. @returns whether it ran @throws OsSshError */
export const stopService = (session: Session): Promise<boolean> => stopAt(ownPlace(session), async ran => ran)

/**
 * Lines of the log of one's own service, the last ones first.
 *
 * @param options.lines so many of those that there are
 * @param options.follow whether to go on, for ever, with those that come
 * @throws OsSshError NOT_FOUND where there is no log
 */
export async function* serviceLog(
  session: Session,
  {lines, follow}: {readonly lines: number; readonly follow: boolean},
): AsyncGenerator<string> {
  const file = logOf(ownPlace(session))
  const [older, first] = await Promise.all([readIfThere(`${file}.1`), readIfThere(file)])
  if (first === undefined && older === undefined)
    throw new OsSshError('NOT_FOUND', `no service of yours has run for cloud ${session.name}`, {
      hint: 'os-ssh init makes one',
    })
  let text = first ?? ''
  const all = linesOf(`${older ?? ''}${text}`)
  yield* all.slice(Math.max(0, all.length - lines))
  while (follow) {
    await sleep(LOOK_MS)
    const now = (await readIfThere(file)) ?? ''
    // One that is shorter, or begins otherwise, was put aside meanwhile.
    const more = now.startsWith(text) ? now.slice(text.length) : now
    const end = more.lastIndexOf('\n') + 1
    yield* linesOf(more.slice(0, end))
    text = now.slice(0, now.length - more.length + end)
  }
}

/** A log line is JSON, whose letters are harmless; a broken one may be anything. */
const linesOf = (text: string) => text.split('\n').filter(Boolean).map(plain)
