import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdirSync, readdirSync, readFileSync, readlinkSync} from 'node:fs'
import {constants} from 'node:os'
import {text} from 'node:stream/consumers'

import type {Handover} from '../../src/embedded/handover.ts'
import {parseKeys} from '../../src/embedded/keys.ts'
import {lastWordsOf, lockOf, logOf, type Place} from '../../src/embedded/place.ts'
import {ensureService, versionAt} from '../../src/embedded/start.ts'
import {loadCloud, openStack} from '../../src/openstack/index.ts'
import {startDaemon} from '../../src/system/daemon.ts'
import {packageVersion, programFile} from '../../src/system/directories.ts'
import {eventually, type Result, run} from './run.ts'
import {root, type World} from './world.ts'

const PATIENCE_MS = 240_000

/** A command under way. */
export interface Started {
  readonly ended: Promise<Pick<Result, 'stdout' | 'stderr'> & {readonly status: number}>
  /** As Ctrl-C does. */
  interrupt(): void
  kill(): void
}

interface Line {
  readonly pid: number
  readonly msg: string
  readonly [field: string]: unknown
}

/** One machine of a member's: a home, where their own service lives. */
export class OwnMachine {
  readonly #world: World
  readonly home: string
  readonly account: string

  /** @param home another one than the world's */
  constructor(world: World, account: string, home = world.home) {
    this.#world = world
    this.account = account
    this.home = home
    mkdirSync(`${home}/run`, {recursive: true, mode: 0o700})
  }

  get env(): NodeJS.ProcessEnv {
    return {...this.#world.env, HOME: this.home, XDG_RUNTIME_DIR: `${this.home}/run`}
  }

  get place(): Place {
    return {
      state: `${this.home}/.local/state/os-ssh/embedded/${this.account}`,
      run: `${this.home}/run/os-ssh/${this.account}`,
    }
  }

  cli(words: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Result> {
    return this.#world.cli(this.account, words, {env: {...this.env, ...env}, timeout: PATIENCE_MS})
  }

  /** A command that may be cut off. */
  start(words: readonly string[]): Started {
    const env = {...this.env, OS_CLOUD: this.account}
    const child = spawn(process.execPath, [`${root}bin/run.js`, ...words], {
      env,
      cwd: this.home,
      stdio: 'pipe',
    })
    const [stdout, stderr] = [text(child.stdout), text(child.stderr)]
    child.stdin.end()
    const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
    const ended = once(child, 'exit').then(async ([code, signal]) => {
      clearTimeout(timer)
      // As a shell says it.
      const status = code ?? 128 + constants.signals[signal as NodeJS.Signals]
      return {status, stdout: await stdout, stderr: await stderr}
    })
    return {ended, interrupt: () => child.kill('SIGINT'), kill: () => child.kill('SIGKILL')}
  }

  /** Processes of the service. */
  pids(): number[] {
    return readdirSync('/proc')
      .filter(name => /^\d+$/.test(name) && isService(name, this.place, this.home))
      .map(Number)
  }

  /** The one process that there is. */
  pid(): number {
    const [pid, ...more] = this.pids()
    if (pid === undefined || more.length > 0) throw new Error(`${this.pids().length} services run`)
    return pid
  }

  /** Waits until none runs. @returns those that do all the same */
  left(ms = 15_000): Promise<number[]> {
    return eventually(
      async () => this.pids(),
      pids => pids.length === 0,
      ms,
    )
  }

  /** Lines of its log, of all its lives. */
  log(): Line[] {
    const read = (file: string) => {
      try {
        return readFileSync(file, 'utf8')
      } catch {
        return ''
      }
    }
    return (
      `${read(`${logOf(this.place)}.1`)}${read(logOf(this.place))}`
        .split('\n')
        // A full disk tears one.
        .filter(line => line.startsWith('{') && line.endsWith('}'))
        .map(line => JSON.parse(line))
    )
  }

  /** How often it has said that. */
  said(msg: string): number {
    return this.log().filter(line => line.msg === msg).length
  }

  async #handover(other: Partial<Handover> = {}): Promise<Handover> {
    const cloud = await loadCloud({cloud: this.account, env: this.env, cwd: this.home})
    const token = await openStack(cloud).identity.token()
    const keys = parseKeys(readFileSync(`${this.place.run}/service.keys`, 'utf8'))
    return {cloud, token, keys, version: packageVersion(), idle: 60, ...other}
  }

  /** Has it run as another client would start it. */
  async startAs(other: Partial<Handover>): Promise<void> {
    const handover = await this.#handover(other)
    await ensureService(this.place, handover.version, async () => handover)
  }

  /** Has it run with a clock that is so much ahead, such as `-1h`. */
  async startAhead(offset: string): Promise<void> {
    const {state, run} = this.place
    const argv = [...ahead(offset), process.execPath, programFile('embedded/main'), state, run]
    const env = {PATH: this.env['PATH'], HOME: this.home}
    startDaemon(argv, lastWordsOf(this.place), env, JSON.stringify(await this.#handover()))
    await eventually(
      () => versionAt(this.place),
      version => version !== undefined,
    )
  }

  /** os-ssh with such a clock. */
  cliAhead(offset: string, words: readonly string[]): Promise<Result> {
    const [faketime, ...options] = ahead(offset)
    return run(faketime, [...options, process.execPath, `${root}bin/run.js`, ...words], {
      env: {...this.env, OS_CLOUD: this.account},
      cwd: this.home,
    })
  }
}

const ahead = (offset: string) => ['faketime', '-f', offset] as const

/** Its title hides what it was started with: it is known by what it holds, and before that by its home. */
function isService(pid: string, place: Place, home: string): boolean {
  try {
    if (readdirSync(`/proc/${pid}/fd`).some(fd => linkOf(`/proc/${pid}/fd/${fd}`) === lockOf(place)))
      return true
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
    if (!/embedded\/main\.[jt]s|^os-ssh service/.test(words)) return false
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(`HOME=${home}`)
  } catch {
    return false
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}
