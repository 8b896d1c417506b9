import {type ChildProcessWithoutNullStreams, spawn, spawnSync} from 'node:child_process'
import {once} from 'node:events'

import type {Path} from '../../src/protocol/index.ts'
import type {World} from './world.ts'

/* What a gate has at a moment and over a time, looked at by its root. */

/** Everything by which a gate lets somebody through, and who is connected. */
export interface GateState {
  /** Who may push, as the gate remembers: `SERVICE NUMBER`. */
  readonly holder: string
  /** `ACCOUNT PATH` of each principals file, sorted. */
  readonly principals: readonly string[]
  /** `ACCOUNT ALIAS` of each element of nftables' set, sorted. */
  readonly elements: readonly string[]
  /** Accounts with a process. */
  readonly busy: readonly string[]
}

const HOLDER = 'cat /etc/os-ssh/holder 2>/dev/null || echo none, beside: $(ls /etc/os-ssh)'
const LOOK = `${HOLDER}; echo ==
  cd /etc/os-ssh/principals; for f in osp*; do [ -e "$f" ] && { printf '%s ' "$f"; sed 's/.* path-//' "$f"; }; done; echo ==
  nft -u list set inet os_ssh paths4 | grep -oE 'osp[0-9]+"? \\. [0-9.]+' | sed 's/"//; s/ \\. / /'; echo ==
  ps -o user:32= -G os-ssh | sort -u`

/** A root shell on the gate that is open already: what it is asked it answers within some ms. */
export class GateShell {
  readonly #ssh: ChildProcessWithoutNullStreams
  readonly #ended: Promise<unknown>
  #heard = ''
  /** It answers one question at a time. */
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(ssh: ChildProcessWithoutNullStreams) {
    this.#ssh = ssh
    this.#ended = once(ssh, 'exit')
    ssh.stdout.setEncoding('utf8').on('data', text => (this.#heard += text))
  }

  static async open(world: World): Promise<GateShell> {
    const shell = new GateShell(spawn('ssh', [...world.gateArguments(), 'sh -s']))
    await shell.ask('true')
    return shell
  }

  /** @throws Error when the shell has ended */
  ask(command: string): Promise<string> {
    const answer = this.#turn.then(() => this.#ask(command))
    this.#turn = answer.catch(() => undefined)
    return answer
  }

  async #ask(command: string): Promise<string> {
    this.#heard = ''
    this.#ssh.stdin.write(`{ ${command}\n} 2>&1 </dev/null; echo; echo ==over==\n`)
    while (!this.#heard.endsWith('\n==over==\n')) {
      if (this.#ssh.exitCode !== null) throw new Error(`the gate's shell has ended: ${this.#heard}`)
      await Promise.race([once(this.#ssh.stdout, 'data'), this.#ended])
    }
    return this.#heard.slice(0, -'\n==over==\n'.length).trim()
  }

  async state(): Promise<GateState> {
    const [holder = '', principals = '', elements = '', busy = ''] = (await this.ask(LOOK)).split(/^==$/m)
    const lines = (text: string) => text.split('\n').filter(Boolean).sort()
    return {
      holder: holder.trim(),
      principals: lines(principals),
      elements: lines(elements),
      busy: lines(busy),
    }
  }

  /**
   * Looks ten times a second whether something of these paths, which are over, comes back.
   *
   * @returns what came back, and the numbers of the gate's holder in the order in which they were seen
   */
  async watch(
    over: readonly Pick<Path, 'id' | 'login' | 'alias'>[],
    seconds: number,
  ): Promise<{back: string[]; numbers: number[]; holders: string[]}> {
    const ids = over.map(path => path.id).join('|')
    const elements = over.map(({login, alias}) => `${login}"? \\. ${alias.replaceAll('.', '\\.')} `).join('|')
    const said = await this.ask(`until=$(($(date +%s) + ${seconds})) last=
      while [ "$(date +%s)" -lt $until ]; do
        grep -rhoE 'path-(${ids})' /etc/os-ssh/principals | sed 's/^/back /'
        nft -u list set inet os_ssh paths4 | grep -oE '(${elements})' | sed 's/^/back /'
        now=$(${HOLDER}); [ "$now" = "$last" ] || echo "holder $now"; last=$now
        sleep 0.1
      done`)
    const lines = said.split('\n').map(line => line.trim())
    const all = (kind: string) => lines.filter(line => line.startsWith(`${kind} `))
    const holders = all('holder').map(line => line.slice('holder '.length))
    const numbers = holders.flatMap(text => /^\S+ (\d+)$/.exec(text)?.[1] ?? []).map(Number)
    return {back: [...new Set(all('back'))], numbers, holders}
  }

  close(): void {
    this.#ssh.kill()
  }
}

const TABLE = 'os_ssh_test'
const nft = (script: string) => {
  const {status, stdout, stderr} = spawnSync('nft', ['-f', '-'], {input: script, encoding: 'utf8'})
  if (status !== 0) throw new Error(`nft: ${stderr}`)
  return stdout
}

/** A stream that is cut in the middle. */
export interface Cut {
  /** Whether something has been lost already. */
  losing(): boolean
  /** From now on all gets through, and what was lost comes again. */
  heal(): void
}

/**
 * The network between one process and the gate takes so many bytes more of what it sends, and then nothing: a script stays half
 * read until it is healed.
 */
export function cutStream(pid: number, host: string, bytes: number): Cut {
  const {stdout} = spawnSync('ss', ['-Htnp', 'state', 'established', 'dst', `${host}`], {encoding: 'utf8'})
  const own = stdout.split('\n').filter(line => line.includes(`pid=${pid},`))
  const ports = own.flatMap(line => /:(\d+) +\S+:22 /.exec(line)?.[1] ?? [])
  if (ports.length === 0) throw new Error(`process ${pid} has no connection to ${host}: ${stdout}`)
  nft(`table inet ${TABLE} { chain out { type filter hook output priority 0;
    ip daddr ${host} tcp dport 22 tcp sport { ${ports.join(', ')} } quota over ${bytes} bytes counter drop; }; }`)
  return {
    losing: () => !nft(`list table inet ${TABLE}`).includes('counter packets 0 '),
    heal: () => void nft(`delete table inet ${TABLE}`),
  }
}
