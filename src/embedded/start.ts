import {lstatSync} from 'node:fs'
import {rm} from 'node:fs/promises'
import {setTimeout as sleep} from 'node:timers/promises'

import {catalogue, type ErrorCode, OsSshError} from '../errors.ts'
import {plain} from '../names/plain.ts'
import {startDaemon} from '../system/daemon.ts'
import {compileCache, programFile} from '../system/directories.ts'
import {readIfThere} from '../system/files.ts'
import {withLock} from '../system/lock.ts'
import {isAlive} from '../system/process.ts'
import type {Handover} from './handover.ts'
import {faultOf, lastWordsOf, type Place, socketOf, startingOf} from './place.ts'

// Not by `import`, which reads all that it has, undici included: 20 ms and 16 MB (test/unit/architecture.test.ts).
const {request} = process.getBuiltinModule('node:http')

/** How long it may take to say that it is there, ms: one that is busy has other things to do first. */
const ANSWER_MS = 5000
/** How long it may take to start, one before it to leave, and how often it is asked, ms. */
const [START_MS, LEAVE_MS, POLL_MS] = [25_000, 20_000, 10]

/**
 * V8's young generation, at most, MB: what grows there is memory for nothing in a service that is idle, and one that may not grow
 * at all (src/system/heap.ts) makes the start a third longer. Only a process that begins can be told so.
 */
const YOUNG = '--max-semi-space-size=2'

/**
 * Has the service of this place run, in this version or a newer one. Many at once start one.
 *
 * @param version the client's own
 * @param prepare asked when one must be started
 * @throws OsSshError DENIED for a socket that is another user's; SERVICE_DOWN, or what the service itself says, when it does not start
 */
export async function ensureService(
  place: Place,
  version: string,
  prepare: () => Promise<Handover>,
): Promise<void> {
  if (isFresh(await versionAt(place), version)) return
  await withLock(startingOf(place), async () => {
    const there = await versionAt(place)
    if (isFresh(there, version)) return
    if (there !== undefined) await leaveAt(place)
    await start(place, await prepare())
  })
}

const isFresh = (there: string | undefined, own: string) => there !== undefined && !isOlder(there, own)

/** Is `a` before `b`? What is no version is before all. */
export function isOlder(a: string, b: string): boolean {
  const [one, other] = [a, b].map(text => text.split(/[.-]/).map(part => Number.parseInt(part, 10) || 0))
  for (const n of [0, 1, 2]) {
    const difference = (one?.[n] ?? 0) - (other?.[n] ?? 0)
    if (difference !== 0) return difference < 0
  }
  return false
}

/**
 * The version of the service that answers here; undefined when there is none.
 *
 * @throws OsSshError DENIED for a socket that is another user's; SERVICE_DOWN when there is one that says nothing
 */
export async function versionAt(place: Place): Promise<string | undefined> {
  const answer = await ask(place, 'GET', '/healthz')
  if (answer === undefined) return undefined
  try {
    return String(JSON.parse(answer).version)
  } catch {
    throw new OsSshError('SERVICE_DOWN', `what answers at ${socketOf(place)} is no service of os-ssh`)
  }
}

/** Has the one that there is leave, and waits until it takes nothing more. @returns whether there was one @throws OsSshError as `versionAt` */
export async function leaveAt(place: Place): Promise<boolean> {
  if ((await ask(place, 'POST', '/v1/service/leave')) === undefined) return false
  for (const end = Date.now() + LEAVE_MS; Date.now() < end; await sleep(POLL_MS))
    if ((await ask(place, 'GET', '/healthz')) === undefined) return true
  throw new OsSshError('BUSY', 'the service does not leave')
}

/** @returns the answer's text; undefined where nobody listens */
async function ask(place: Place, method: string, path: string): Promise<string | undefined> {
  const socketPath = socketOf(place)
  const there = lstatSync(socketPath, {throwIfNoEntry: false})
  if (there === undefined) return undefined
  const me = process.getuid?.()
  if (me !== undefined && (!there.isSocket() || there.uid !== me))
    throw new OsSshError('DENIED', `${socketPath} is not a socket of yours`, {
      hint: 'somebody has put it there: look who, and remove it',
    })
  const {promise, resolve, reject} = Promise.withResolvers<string | undefined>()
  const sent = request({socketPath, path, method, agent: false, timeout: ANSWER_MS}, response => {
    let text = ''
    response.setEncoding('utf8')
    response.on('data', chunk => {
      text += chunk
    })
    response.on('error', reject)
    response.on('end', () => resolve(text))
  })
  sent.on('timeout', () => sent.destroy(new Error(`nothing within ${ANSWER_MS / 1000} s`)))
  sent.on('error', reject)
  sent.end()
  return promise.catch((cause: NodeJS.ErrnoException) => {
    // Gone, or going: who has its lock says no more by this socket.
    if (['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE'].includes(cause.code ?? '')) return undefined
    throw new OsSshError('SERVICE_DOWN', `the service at ${socketPath} does not answer: ${cause.message}`, {
      hint: 'os-ssh service logs; kill the process that is called "os-ssh service" if it hangs',
      cause,
    })
  })
}

async function start(place: Place, handover: Handover): Promise<void> {
  await rm(faultOf(place), {force: true})
  const {PATH, HOME, TZ, NODE_EXTRA_CA_CERTS} = process.env
  const program = programFile('embedded/main')
  const argv = [process.execPath, YOUNG, program, place.state, place.run, compileCache()]
  await rm(lastWordsOf(place), {force: true})
  const env = {PATH, HOME, TZ, NODE_EXTRA_CA_CERTS}
  const pid = startDaemon(argv, lastWordsOf(place), env, JSON.stringify(handover))
  for (const end = Date.now() + START_MS; Date.now() < end; await sleep(POLL_MS)) {
    if ((await versionAt(place).catch(() => undefined)) !== undefined) return
    if (!isAlive(pid)) break
  }
  // It may have left to another one that was faster.
  if ((await versionAt(place)) !== undefined) return
  throw await whyNot(place)
}

/** What the service has left behind that did not start. */
async function whyNot(place: Place): Promise<OsSshError> {
  try {
    const {code, message, hint} = JSON.parse((await readIfThere(faultOf(place))) ?? '')
    if (Object.hasOwn(catalogue, code)) return new OsSshError(code as ErrorCode, String(message), {hint})
  } catch {
    // said below
  }
  const words = ((await readIfThere(lastWordsOf(place))) ?? '').trim().split('\n')
  const last = words.find(line => /Error/.test(line)) ?? words.at(-1)
  return new OsSshError('SERVICE_DOWN', `the service did not start: ${plain(last || 'it said nothing')}`, {
    hint: 'os-ssh service logs',
  })
}
