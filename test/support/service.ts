import {type ChildProcess, spawn} from 'node:child_process'
import {once} from 'node:events'
import {openSync, readFileSync} from 'node:fs'
import {setTimeout as sleep} from 'node:timers/promises'

/** How long a service may take to stop, ms. */
const STOP_MS = 30_000

/** `os-ssh service start` as a process of its own, which may be ended and started again. */
export class ServiceProcess {
  /** Where it listens. */
  readonly url: string
  readonly logFile: string
  readonly #env: NodeJS.ProcessEnv
  #process: ChildProcess | undefined
  #command: readonly [string, ...string[]] = ['']

  constructor(url: string, logFile: string, env: NodeJS.ProcessEnv) {
    this.url = url
    this.logFile = logFile
    this.#env = env
  }

  get pid(): number | undefined {
    return this.#process?.pid
  }

  get log(): string {
    return readFileSync(this.logFile, 'utf8')
  }

  /**
   * Returns when it answers.
   *
   * @param command all but where it listens; the same as the last time by default
   */
  async start(command = this.#command): Promise<void> {
    this.#command = command
    const [program, ...words] = command
    const log = openSync(this.logFile, 'a')
    const child = spawn(program, [...words, '--listen', new URL(this.url).host], {
      env: this.#env,
      stdio: ['ignore', log, log],
    })
    this.#process = child
    for (let n = 0; n < 300; n++) {
      if (child.exitCode !== null) break
      const answer = await fetch(`${this.url}/healthz`).catch(() => undefined)
      if (answer?.ok) return
      await sleep(100)
    }
    throw new Error(`the service did not start:\n${this.log}`)
  }

  /** To this one process; SIGSTOP and SIGCONT for one. */
  signal(signal: NodeJS.Signals): void {
    this.#process?.kill(signal)
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#process
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const over = once(child, 'exit')
    child.kill(signal)
    // One that is paused hears nothing else.
    child.kill('SIGCONT')
    const late = sleep(STOP_MS, 'late' as const, {ref: false})
    if ((await Promise.race([over, late])) !== 'late') return
    child.kill('SIGKILL')
    throw new Error(`the service did not stop within ${STOP_MS / 1000} s:\n${this.log.slice(-3000)}`)
  }

  /** What it answers to the bearer of this token, whatever that is. @throws Error when it does not answer in time, ms */
  async ask<T>(
    token: string,
    method: string,
    path: string,
    {body, timeout = 90_000}: {body?: unknown; timeout?: number} = {},
  ): Promise<T & {status: number}> {
    const answer = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        'x-auth-token': token,
        ...(body === undefined ? {} : {'content-type': 'application/json'}),
      },
      ...(body === undefined ? {} : {body: JSON.stringify(body)}),
      signal: AbortSignal.timeout(timeout),
    })
    const text = await answer.text()
    return {...(text === '' ? {} : JSON.parse(text)), status: answer.status}
  }
}
