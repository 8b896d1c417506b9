import {existsSync, lstatSync, rmSync} from 'node:fs'
import {setTimeout as sleep} from 'node:timers/promises'

import {type Logger, pino} from 'pino'

import {openStack} from '../openstack/index.ts'
import {memoryCa} from '../service/ca/ca.ts'
import {readServiceFile} from '../service/config/file.ts'
import {gatesConfig} from '../service/deploy/config.ts'
import {byOf, createService, type RunningService} from '../service/index.ts'
import {makeDirectory} from '../system/files.ts'
import {type Handover, renews} from './handover.ts'
import {takeLock} from './lock.ts'
import {LogFile} from './log.ts'
import {databaseOf, lockOf, logOf, type Place, settingsOf, socketOf} from './place.ts'
import {versionAt} from './start.ts'

/** How long one that leaves may take until another may start, and how often it is looked, ms. */
const [TURN_MS, TURN_POLL_MS] = [20_000, 15]
/** How often is looked whether it is still needed, ms. */
const LOOK_MS = 500
/** So much more than that, and the machine has slept, ms. */
const ASLEEP_MS = 30_000
/** Who has connected before the socket went may send so long, and what is under way may take so long, ms. */
const [LAST_WORDS_MS, LAST_ANSWER_MS] = [30, 12_000]

/**
 * The service of one user, from its first request until nobody needs it: it runs once at a time, and leaves without a request being
 * lost. May be killed anywhere.
 *
 * @returns when it has left, or another one was faster
 * @throws OsSshError for a configuration, a state directory or an account that does not work
 */
export async function serve(place: Place, handover: Handover): Promise<void> {
  await makeDirectory(place.state)
  const unlock = await turn(place)
  if (unlock === undefined) return
  const log = pino({base: {pid: process.pid}}, new LogFile(logOf(place)))
  const {cloud: config, token, keys, version, idle} = handover
  const cloud = openStack(config)
  cloud.identity.adopt(token)
  const own = token.project?.id
  const leaving = Promise.withResolvers<string>()
  const leave = () => leaving.resolve('it was told to')
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, leave)
  const file = existsSync(settingsOf(place)) ? await readServiceFile(settingsOf(place)) : {}
  try {
    const service = await createService({
      by: byOf(token),
      ...{cloud, version, log, leave, renews: renews(config)},
      ...{database: databaseOf(place), managementKey: keys.management, ca: memoryCa(keys)},
      gates: gatesConfig({automatic: true, ...file.gates}),
      listen: `unix:${socketOf(place)}`,
      onCaller: theirs => {
        if (theirs.project?.id === own && theirs.roles.includes('member')) cloud.identity.adopt(theirs)
      },
    })
    log.info({version, socket: socketOf(place)}, 'the service has started')
    const reason = await Promise.race([leaving.promise, needless(service, socketOf(place), idle * 1000, log)])
    log.info({reason}, 'the service leaves')
    await lastAnswers(service, socketOf(place))
    await service.close()
  } finally {
    await cloud.close()
    unlock()
  }
}

/** Waits until no other one runs. @returns how to end one's own turn; undefined when another one answers */
async function turn(place: Place): Promise<(() => void) | undefined> {
  for (const end = Date.now() + TURN_MS; ; await sleep(TURN_POLL_MS)) {
    const unlock = takeLock(lockOf(place))
    if (unlock !== undefined) return unlock
    // One that leaves has taken its socket away, and still answers what is under way.
    if (Date.now() > end || (await versionAt(place).catch(() => undefined)) !== undefined) return undefined
  }
}

/** Until nobody needs the service. @returns why */
async function needless(service: RunningService, socket: string, idle: number, log: Logger): Promise<string> {
  const mine = lstatSync(socket).ino
  for (let last = Date.now(); ; ) {
    await sleep(LOOK_MS, undefined, {ref: false})
    const now = Date.now()
    if (now - last > ASLEEP_MS) {
      log.info({seconds: Math.round((now - last) / 1000)}, 'time has passed unseen: all is looked at anew')
      service.resume()
    }
    last = now
    // Who logs out takes the runtime directory along.
    if (lstatSync(socket, {throwIfNoEntry: false})?.ino !== mine) return 'its socket is gone'
    if (service.activity.quiet > idle && (await service.isAtRest())) return 'nobody needs it'
  }
}

/** Nobody comes any more, and who has come is answered. */
async function lastAnswers({activity}: RunningService, socket: string): Promise<void> {
  // While the lock is ours no other one can be there.
  rmSync(socket, {force: true})
  const end = Date.now() + LAST_ANSWER_MS
  do await sleep(LAST_WORDS_MS)
  while (activity.underWay > 0 && Date.now() < end)
}
