import {type ChildProcess, spawn} from 'node:child_process'
import {once} from 'node:events'

import {routerNamespace} from '../../src/localgw/names.ts'
import {localRefresh} from '../../src/localgw/render.ts'
import {api, mgmt} from '../openstack/place.ts'
import {inNode, nodeCommand} from '../openstack/processes.ts'
import {run} from './run.ts'
import {root} from './world.ts'

/* A compute node of the real OpenStack: the agent of its local gateways as a process, its namespaces, its daemons. */

export type Host = 'compute1' | 'compute2'
/** Of the accounts of these tests. */
export const SECRET = 'for-a-test-only'

/** The agent as a process on a node. */
export class Agent {
  readonly host: Host
  readonly #child: ChildProcess
  readonly #ended: Promise<unknown>
  readonly #said = {stdout: '', stderr: ''}

  constructor(host: Host, home: string, words: readonly string[]) {
    this.host = host
    const [program = '', ...args] = nodeCommand(host, [
      process.execPath,
      `${root}bin/run.js`,
      'snat',
      ...words,
    ])
    this.#child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {...process.env, ...ACCOUNT, HOME: home},
    })
    this.#ended = once(this.#child, 'close')
    for (const name of ['stdout', 'stderr'] as const)
      this.#child[name]?.setEncoding('utf8').on('data', text => (this.#said[name] += text))
  }

  /** What it has said, a line each. */
  get log(): readonly string[] {
    return this.#said.stdout.split('\n').filter(line => line !== '')
  }

  /** How it ends by itself. */
  async result(): Promise<{status: number | null; stdout: string; stderr: string}> {
    await this.#ended
    return {status: this.#child.exitCode, stdout: this.#said.stdout, stderr: this.#said.stderr}
  }

  /** Ends it, and waits until it has. nsenter is the parent of what we mean, and passes no signal on. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const {stdout} = await run('pgrep', ['-P', String(this.#child.pid)])
    for (const pid of stdout.split('\n').filter(Boolean)) process.kill(Number(pid), signal)
    await this.#ended
  }

  kill(): void {
    void this.end('SIGKILL').catch(() => undefined)
  }
}

const ACCOUNT = {
  OS_AUTH_URL: api('identity', mgmt),
  OS_USERNAME: 'lsnat',
  OS_PASSWORD: SECRET,
  OS_PROJECT_NAME: 'lsnat',
  OS_USER_DOMAIN_NAME: 'Default',
  OS_PROJECT_DOMAIN_NAME: 'Default',
  OS_REGION_NAME: 'RegionOne',
  OS_INTERFACE: 'internal',
}

/** Runs a program in a namespace of a node. */
export const inNamespace = (host: Host, namespace: string, ...argv: string[]) =>
  inNode(host, ['nsenter', `--net=/run/netns/${namespace}`, ...argv])

/** Says which VMs of a router leave locally, as its agent would; it must not be running. */
export const sayLocal = (host: Host, router: string, ...locals: string[]) =>
  inNamespace(
    host,
    routerNamespace(router),
    ...['sh', '-c', 'printf %s "$1" | nft -f -', 'sh', localRefresh({locals})],
  )

/** Kills a daemon of a node and starts it again as it was. */
export async function restart(host: Host, name: string): Promise<void> {
  const [pid = ''] = (await inNode(host, ['pgrep', '-o', '-f', `^${name} `])).split('\n')
  const text = (await inNode(host, ['cat', `/proc/${pid}/cmdline`])).split('\0').join(' ').trim()
  // Neutron's agents call themselves `NAME (python3 PROGRAM OPTIONS)`.
  const [, command = text] = /^\S+ \(\S*python3 (.*)\)$/.exec(text) ?? []
  await inNode(host, ['kill', '-9', pid])
  const again = 'cd / && setsid "$@" >/dev/null 2>&1 </dev/null &'
  await inNode(host, ['sh', '-c', again, 'sh', ...command.split(' ')])
}
