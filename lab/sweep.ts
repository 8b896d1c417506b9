import {readdir, readFile} from 'node:fs/promises'
import {setTimeout as sleep} from 'node:timers/promises'

import {attempt} from '../src/system/commands.ts'
import {isNetnsOf, marker} from './paths.ts'

/**
 * Processes of a lab by the marker in their environment: the daemon and every guest's first ones. Unlike a recorded
 * pid this can not name a stranger after the pid was used again.
 */
export async function members(dir: string): Promise<number[]> {
  const wanted = `${marker}=${dir}`
  const found: number[] = []
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const text = await readFile(`/proc/${entry}/environ`, 'latin1').catch(() => '')
    if (text.split('\0').includes(wanted)) found.push(Number(entry))
  }
  return found
}

/**
 * Kills the lab's processes and removes its namespaces and its devices in the current namespace.
 * Guests die with their PID 1; a namespace that others still hold open is unlinked everywhere.
 * @returns whether there was anything
 */
export async function sweep(lab: string, dir: string, devices: readonly string[]): Promise<boolean> {
  let any = false
  for (let pids = await members(dir); pids.length > 0; pids = await members(dir)) {
    any = true
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {} // it was quicker
    }
    await sleep(20)
  }
  for (const netns of await readdir('/run/netns').catch(() => [])) {
    if (!isNetnsOf(lab, netns)) continue
    any = true
    await attempt(['ip', 'netns', 'del', netns])
  }
  for (const device of devices) any = (await attempt(['ip', 'link', 'del', device])) || any
  return any
}
