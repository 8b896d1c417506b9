import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {setTimeout as sleep} from 'node:timers/promises'

import type {Handover} from '../../src/embedded/handover.ts'
import {newKeys} from '../../src/embedded/keys.ts'
import {logOf, type Place, settingsOf} from '../../src/embedded/place.ts'
import {isAlive} from '../../src/system/process.ts'
import {eventually} from '../support/run.ts'
import {root, World} from '../support/world.ts'
import {bootByHand} from './gates.ts'
import {installed} from './installed.ts'
import {type Bench, type Measured, measured, median, timed} from './measure.ts'
import {residentOf} from './rss.ts'

/** How long one that has just answered is left alone before it counts as idle, ms. */
const SETTLE_MS = 5000
/** The longest that one which was told to leave takes, ms. */
const LEAVE_MS = 20_000
/** A gate takes seconds. */
const [MIN_RUNS, MAX_RUNS] = [3, 5]
const VM = 't1-web'

/**
 * A user's own service. `embedded-start`: nothing runs, until its API has given its first answer, against `node -e 0`.
 * `embedded-rss`: its memory when nobody asks for anything. `init`: from `os-ssh init --yes` until the first `ssh VM true` has ended,
 * against what the same cloud takes from POST /servers until that guest's sshd answers.
 */
export const embedded: Bench = {
  names: ['embedded', 'embedded-start', 'embedded-rss', 'init'],
  async run(names, runs) {
    const isWanted = (name: string) => names.includes('embedded') || names.includes(name)
    const few = Math.max(MIN_RUNS, Math.min(MAX_RUNS, runs))
    const results: Measured[] = []
    if (isWanted('embedded-start')) results.push(await starts(runs))
    if (isWanted('embedded-rss')) results.push(await idle(few))
    if (isWanted('init')) results.push(await inits(few))
    return results
  },
}

/** The client's half of the start. */
const client = async (): Promise<typeof import('../../src/embedded/start.ts')> =>
  import(`${await installed()}/client/src/embedded/start.js`)

/** A place on this machine, for a service whose cloud answers nothing: it does not ask before somebody asks it. */
async function scene() {
  const {ensureService, leaveAt} = await client()
  const directory = mkdtempSync('/tmp/os-ssh-bench-')
  const place: Place = {state: `${directory}/state`, run: `${directory}/run`}
  for (const path of [place.state, place.run]) mkdirSync(path, {mode: 0o700})
  // As init leaves it: there is always one.
  writeFileSync(settingsOf(place), 'gates:\n  automatic: true\n  max: 4\n  per_zone: 2\n  per_project: 1\n')
  const handover = handedOver()
  return {
    place,
    /** @returns ms until it has answered */
    async start(): Promise<number> {
      const begun = performance.now()
      await ensureService(place, handover.version, async () => handover)
      return performance.now() - begun
    },
    /** Until its process is gone: two at once would disturb each other. */
    async stop(): Promise<void> {
      const pid = daemonOf(place)
      await leaveAt(place)
      if (
        await eventually(
          async () => isAlive(pid),
          alive => !alive,
          LEAVE_MS,
        )
      )
        throw new Error('the service has not left')
    },
    end: () => rmSync(directory, {recursive: true, force: true}),
  }
}

function handedOver(): Handover {
  const auth_url = 'http://127.0.0.1:9/v3'
  const domain = {id: 'default', name: 'Default'}
  return {
    cloud: {name: 'bench', auth: {auth_url, username: 'bench', password: 'bench', project_name: 'bench'}},
    token: {
      id: 'bench',
      expires_at: new Date(Date.now() + 3_600_000),
      user: {id: 'bench', name: 'bench', domain},
      project: {id: '0'.repeat(32), name: 'bench', domain},
      ...{roles: ['member'], catalog: [{type: 'identity', name: 'keystone', endpoints: []}]},
    },
    keys: newKeys(),
    version: JSON.parse(readFileSync(`${root}package.json`, 'utf8')).version,
    idle: 60,
  }
}

/** The process that has written the last line of this log. */
function daemonOf(place: Place): number {
  const last = readFileSync(logOf(place), 'utf8').trimEnd().split('\n').at(-1) ?? ''
  return JSON.parse(last).pid
}

async function starts(runs: number): Promise<Measured> {
  const [ours, base]: [number[], number[]] = [[], []]
  const {start, stop, end} = await scene()
  try {
    // The first one makes the database.
    for (let n = -1; n < runs; n++) {
      const node = timed(process.execPath, ['-e', '0'])
      const took = await start().finally(stop)
      if (n < 0) continue
      base.push(node)
      ours.push(took)
    }
  } finally {
    end()
  }
  return measured('embedded-start', 'ms', ours, base)
}

async function idle(runs: number): Promise<Measured> {
  const seen: number[] = []
  const {place, start, stop, end} = await scene()
  try {
    for (let n = 0; n < runs; n++) {
      await start()
      await sleep(SETTLE_MS)
      seen.push(residentOf(daemonOf(place)).now)
      await stop()
    }
  } finally {
    end()
  }
  return measured('embedded-rss', 'MB', seen)
}

async function inits(runs: number): Promise<Measured> {
  const world = await World.open('bench-init', {alone: true})
  const [ours, base]: [number[], number[]] = [[], []]
  const [made, memory]: [number[], number[]] = [[], []]
  const state = `${world.home}/.local/state/os-ssh/embedded/tenant1`
  try {
    const cloud = await world.cloud('service')
    // The first of each logs in.
    for (let n = -1; n < runs; n++) {
      const init = osSsh(world, 'init', '--yes')
      if (n < 0) await writeConfig(world)
      const took = init + timed('ssh', ['-F', `${world.home}/config`, VM, 'true'], world.env)
      const {now} = residentOf(daemonOf({state, run: ''}))
      osSsh(world, 'destroy', '--yes')
      rmSync(`${world.home}/.ssh/os-ssh/known_hosts`, {force: true})
      const booted = await bootByHand(cloud)
      if (n < 0) continue
      ours.push(took)
      base.push(booted)
      made.push(init)
      memory.push(now)
    }
  } finally {
    await world.cli('tenant1', ['destroy', '--yes'])
    await world.close()
  }
  const extra = {init_ms: Math.round(median(made)), rss_mb: Math.round(median(memory))}
  return {...measured('init', 'ms', ours, base), ...extra}
}

const osSsh = (world: World, ...words: string[]) =>
  timed(process.execPath, [`${root}bin/run.js`, ...words], {...world.env, OS_CLOUD: 'tenant1'})

/** The user's ssh_config, which is the same for every gate. */
async function writeConfig(world: World): Promise<void> {
  const {stdout, stderr, status} = await world.cli('tenant1', ['config', '--all'])
  if (status !== 0) throw new Error(`config --all: ${stderr}`)
  writeFileSync(`${world.home}/config`, stdout, {mode: 0o600})
}
