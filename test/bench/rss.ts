import {readFileSync} from 'node:fs'
import {setTimeout as sleep} from 'node:timers/promises'

import {World} from '../support/world.ts'
import {ALL_ACCOUNTS, fill, targets, UNLIMITED} from './fill.ts'
import {type Bench, measured} from './measure.ts'

/** Longer than --resync: every gate is sent its whole state meanwhile. */
const WATCH_S = 75

/** The most memory that the service takes with as many paths as a gate has accounts, while nobody asks for anything. */
export const rss: Bench = {
  names: ['service-rss-10k'],
  async run() {
    const world = await World.open('bench-rss', {flags: UNLIMITED})
    try {
      for (const [user, vm] of targets) await world.grant(user, vm)
      await fill(world, ALL_ACCOUNTS)
      const seen: number[] = []
      for (let n = 0; n < WATCH_S; n++) {
        seen.push(memory(world).now)
        await sleep(1000)
      }
      const {now, peak} = memory(world)
      const more = {paths: ALL_ACCOUNTS, settled_mb: Math.round(now), since_start_mb: Math.round(peak)}
      return [{...measured('service-rss-10k', 'MB', [Math.max(...seen)]), ...more}]
    } finally {
      await world.close()
    }
  },
}

/** Memory of the service now, and the most since its start, MB. */
export const memory = (world: World) => residentOf(world.servicePid ?? 0)

/** Memory of a process now, and the most since its start, MB. */
export function residentOf(pid: number): {readonly now: number; readonly peak: number} {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const of = (field: string) => Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1024
  return {now: of('VmRSS'), peak: of('VmHWM')}
}
