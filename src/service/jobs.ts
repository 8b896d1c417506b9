import {setTimeout as sleep} from 'node:timers/promises'

import type {Logger} from 'pino'

/** A cloud that does not answer must not keep anybody from stopping the service, ms. */
const STOP_MS = 5000

/** What the service does beside its requests: tasks of which one of a name runs at a time, and what is due later. */
export class Jobs {
  readonly #log: Logger
  readonly #tasks = new Map<string, Promise<void>>()
  readonly #timers = new Set<NodeJS.Timeout>()
  #stopped = false

  constructor(log: Logger) {
    this.#log = log
  }

  get stopped(): boolean {
    return this.#stopped
  }

  /**
   * Runs a task unless one of the same name is under way: a port is never plugged and unplugged at the same time.
   * Its faults are its own to handle; what escapes is logged.
   */
  once(name: string, task: () => Promise<void>): void {
    if (this.#tasks.has(name) || this.#stopped) return
    const running = task()
      .catch(err => this.#log.warn({err, task: name}, 'task failed'))
      .finally(() => this.#tasks.delete(name))
    this.#tasks.set(name, running)
  }

  /** The same, for who waits until it has ended. */
  async alone(name: string, task: () => Promise<void>): Promise<void> {
    if (this.#tasks.has(name)) return
    this.once(name, task)
    await this.#tasks.get(name)
  }

  /** Runs it beside what is done now. */
  run(task: () => Promise<unknown>): void {
    task().catch(err => this.#log.warn({err}, 'task failed'))
  }

  /** @param ms from now */
  later(ms: number, run: () => unknown): void {
    if (this.#stopped) return
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      run()
    }, ms)
    this.#timers.add(timer)
  }

  /** Nothing begins any more; what is under way has some seconds to end, or is found again at the next start. */
  async stop(): Promise<void> {
    this.#stopped = true
    for (const timer of this.#timers) clearTimeout(timer)
    await Promise.race([Promise.allSettled(this.#tasks.values()), sleep(STOP_MS, undefined, {ref: false})])
  }
}
