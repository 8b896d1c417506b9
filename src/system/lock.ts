import {randomBytes} from 'node:crypto'
import {constants} from 'node:fs'
import {link, open, rename, unlink} from 'node:fs/promises'
import {setTimeout as sleep} from 'node:timers/promises'

import {OsSshError} from '../errors.ts'
import {readIfThere} from './files.ts'
import {isAlive, startTime} from './process.ts'

/** After this who waits is told, ms: most locks are free in a moment. */
const TELL = 1000

/**
 * Runs `work` while no other process runs work under the same lock file; waits for up to `patience` ms.
 * A lock whose process is gone is taken over.
 *
 * @param held is called once, when it takes longer than a moment
 * @throws OsSshError BUSY
 */
export async function withLock<T>(
  file: string,
  work: () => Promise<T>,
  patience = 90_000,
  held: () => void = () => {},
): Promise<T> {
  const since = Date.now()
  let isTold = false
  while (!(await take(file))) {
    const waited = Date.now() - since
    if (waited > patience)
      throw new OsSshError('BUSY', `another os-ssh holds ${file}, after ${Math.round(waited / 1000)} s`)
    if (!isTold && waited > TELL) {
      isTold = true
      held()
    }
    // Whose holder takes long is not looked at all the time.
    await sleep((isTold ? 200 : 20) + Math.random() * 30)
  }
  try {
    return await work()
  } finally {
    await unlink(file).catch(() => {})
  }
}

/** A lock's content: `PID START`, or the pid alone where nothing tells when a process began (Windows). */
const self = () => [process.pid, startTime(process.pid) ?? []].flat().join(' ')

/** Of another process that got the pid of a dead one since, the start differs: files in ~/.ssh survive reboots. */
function holds(owner: string): boolean {
  const [pid, start] = owner.split(' ')
  if (!isAlive(Number(pid))) return false
  const now = start && startTime(Number(pid))
  // What cannot be told counts as the same.
  return !now || now === start
}

/** Asked once: on macOS it costs a process. */
let me: string | undefined

async function take(file: string): Promise<boolean> {
  // Complete before it gets its name: nobody ever reads a lock without an owner in it.
  const own = `${file}.${process.pid}-${randomBytes(4).toString('hex')}`
  const handle = await open(own, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600)
  me ??= self()
  await handle.writeFile(me)
  await handle.close()
  try {
    await link(own, file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    await breakStale(file, own)
    return false
  } finally {
    await unlink(own).catch(() => {})
  }
}

async function breakStale(file: string, own: string): Promise<void> {
  const owner = await readIfThere(file)
  if (owner === undefined || holds(owner)) return
  const aside = `${own}.stale`
  await rename(file, aside).catch(() => {})
  // Somebody may have been faster, and this the lock of a living one: then give it back.
  const moved = await readIfThere(aside)
  if (moved !== undefined && moved !== owner) await link(aside, file).catch(() => {})
  await unlink(aside).catch(() => {})
}
