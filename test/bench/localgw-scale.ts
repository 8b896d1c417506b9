import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {readFileSync} from 'node:fs'
import {setTimeout as sleep} from 'node:timers/promises'

import {run} from '../../src/system/commands.ts'
import {processStatus} from '../../src/system/process.ts'
import {installed} from './installed.ts'
import {Node, ROUTERS, VMS_EACH} from './localgw-node.ts'
import {type Bench, type Measured, measured} from './measure.ts'
import {residentOf} from './rss.ts'

/** How long an agent may take to make all, and how long it is watched then, s. */
const [PATIENCE, WATCHED] = [300, 60]
/** Clock ticks a second, sysconf(_SC_CLK_TCK) of every Linux that Node runs on. */
const TICKS = 100

/**
 * What an agent of local gateways takes of a node with 200 routers and 2,000 VMs when nothing changes: CPU s a minute with all its
 * processes, the refresh of the sets included, and memory.
 */
export const localgwScale: Bench = {
  names: ['localgw-scale'],
  async run() {
    const results: Measured[] = []
    for (const mode of ['per-router', 'per-node'] as const) results.push(...(await watched(mode)))
    return results
  },
}

async function watched(mode: string): Promise<Measured[]> {
  const node = new Node()
  await node.open()
  const args = [`${await installed()}/bin/run.js`, 'snat', 'agent', '--mode', mode, ...node.flags]
  const agent = spawn(process.execPath, args, {env: node.env, stdio: ['ignore', 'pipe', 'inherit']})
  let said = ''
  agent.stdout.setEncoding('utf8').on('data', text => (said += text))
  try {
    const pid = agent.pid ?? 0
    const begun = performance.now()
    await until(async () => (await locals()) === ROUTERS * VMS_EACH)
    const made = (performance.now() - begun) / 1000
    await sleep(5000)
    const before = cpu(pid)
    await sleep(WATCHED * 1000)
    const used = ((cpu(pid) - before) * 60) / WATCHED
    const memory = family(pid).reduce((sum, one) => sum + residentOf(one).now, 0)
    const more = {
      mode,
      routers: ROUTERS,
      vms: ROUTERS * VMS_EACH,
      made_s: Math.round(made),
      memory_mb: Math.round(memory),
    }
    return [{...measured('localgw-scale', 's', [used]), ...more}]
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${said.slice(-2000)}`)
  } finally {
    const ended = once(agent, 'exit')
    agent.kill()
    await ended
    await node.close()
  }
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + PATIENCE * 1000; Date.now() < end; await sleep(1000))
    if (await holds()) return
  throw new Error(`not done within ${PATIENCE} s`)
}

/** VMs that are local, in all routers. */
async function locals(): Promise<number> {
  const names = (await run(['ip', 'netns', 'list'])).split('\n').map(line => line.split(' ')[0] ?? '')
  const routers = names.filter(name => name.startsWith('qrouter-'))
  const list =
    'for name; do nsenter --net=/run/netns/$name nft list set ip os-ssh-lsnat local 2>/dev/null; done; true'
  const text = await run(['sh', '-c', list, 'sh', ...routers])
  return text.match(/expires/g)?.length ?? 0
}

/** A process with its children. */
function family(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter(Boolean)
    .map(Number)
  return [pid, ...children.flatMap(family)]
}

/** CPU of a process, of its children that have ended and of those that live, s. Fields utime to cstime of proc_pid_stat(5). */
function cpu(pid: number): number {
  return (
    family(pid).reduce(
      (sum, one) =>
        sum +
        processStatus(one)
          .slice(11, 15)
          .reduce((all, ticks) => all + Number(ticks), 0),
      0,
    ) / TICKS
  )
}
