import {spawnSync} from 'node:child_process'
import {existsSync, readFileSync, writeFileSync} from 'node:fs'

import {pathFiles} from '../../src/access/path-files.ts'
import {root, World} from '../support/world.ts'
import {type Bench, type Measured, measured, timed} from './measure.ts'

const GIB = 1024 ** 3

/** ssh through a gate, against `ssh -J` through an ordinary jump host and ssh from a client on the VM's network. */
export const ssh: Bench = {
  names: ['ssh-first', 'ssh-warm', 'ssh-direct', 'connect-warm', 'throughput'],
  async run(names, runs) {
    const world = await World.open('bench')
    try {
      return await measure(world, names, runs)
    } finally {
      await world.close()
    }
  },
}

async function measure(world: World, names: readonly string[], runs: number): Promise<Measured[]> {
  const vm = world.server('t1-web')
  const config = `${world.home}/config`
  writeFileSync(config, (await world.cli('tenant1', ['config', '--all'])).stdout, {mode: 0o600})
  const jump = world.site.servers.find(server => server.name === 't1-jump')
  const outside =
    Object.values(jump?.addresses ?? {})
      .flat()
      .find(a => a.startsWith('172.24.')) ?? ''
  const plain = ['-F', `${world.home}/plain`]
  const common = `IdentityFile ${world.home}/.ssh/id_alice\n IdentitiesOnly yes\n User debian\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR\n BatchMode yes\n`
  writeFileSync(`${world.home}/plain`, `Host *\n ${common}`, {mode: 0o600})
  const env = {...world.env, OS_CLOUD: 'tenant1'}

  const through = (...command: string[]) => timed('ssh', ['-F', config, vm, ...command], env)
  const jumping = (...command: string[]) =>
    timed('ssh', [...plain, '-J', outside, '10.0.0.10', ...command], env)
  // Both sides of this pair enter a network namespace, ours the one that it is in: to enter one takes some ms.
  const within = (netns: string, ...words: string[]) =>
    timed('nsenter', [`--net=${netns}`, 'ssh', ...words], env)
  const inside = `/run/netns/oslab-bench-vm-${jump?.id.slice(0, 8)}`
  const direct = (...command: string[]) => within(inside, ...plain, '10.0.0.10', ...command)
  const likewise = (...command: string[]) => within('/proc/self/ns/net', '-F', config, vm, ...command)
  const connect = () => timed(process.execPath, [`${root}bin/run.js`, 'connect', vm, '--', 'true'], env)
  const cold = () => {
    // Ends the connection to the gate, and nothing else: the path stays fresh.
    const directory = `${world.home}/run/os-ssh/tenant1`
    const {state, config: hop} = pathFiles(directory, vm)
    const [, , , gate = 'none'] = existsSync(state) ? readFileSync(state, 'utf8').split(' ') : []
    spawnSync('ssh', ['-F', hop, '-O', 'exit', gate], {env, stdio: 'ignore'})
  }
  const kinds: Record<string, [before: () => void, ours: () => number, base: () => number]> = {
    'ssh-first': [cold, () => through('true'), () => jumping('true')],
    'ssh-warm': [() => undefined, () => through('true'), () => jumping('true')],
    'ssh-direct': [() => undefined, () => likewise('true'), () => direct('true')],
    'connect-warm': [() => undefined, connect, () => jumping('true')],
  }
  const results: Measured[] = []
  for (const [name, [before, ours, base]] of Object.entries(kinds)) {
    if (!names.includes(name)) continue
    const [mine, theirs]: [number[], number[]] = [[], []]
    ours()
    base()
    for (let n = 0; n < runs; n++) {
      before()
      mine.push(ours())
      theirs.push(base())
    }
    results.push(measured(name, 'ms', mine, theirs))
  }
  if (names.includes('throughput')) results.push(throughput(through, jumping, Math.min(runs, 5)))
  return results
}

/** 1 GiB each way round; MB/s, so more is better. */
function throughput(
  through: (...c: string[]) => number,
  jumping: (...c: string[]) => number,
  runs: number,
): Measured {
  const speed = (took: number) => GIB / 1e6 / (took / 1000)
  const [mine, theirs]: [number[], number[]] = [[], []]
  for (let n = 0; n < runs; n++) {
    mine.push(speed(through('head', '-c', String(GIB), '/dev/zero')))
    theirs.push(speed(jumping('head', '-c', String(GIB), '/dev/zero')))
  }
  return measured('throughput', 'MB/s', mine, theirs)
}
