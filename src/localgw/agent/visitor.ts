import {type ChildProcessWithoutNullStreams, spawn} from 'node:child_process'
import {join} from 'node:path'
import {createInterface} from 'node:readline'

import {OsSshError} from '../../errors.ts'
import {packageRoot} from '../../system/directories.ts'

/** What was found in a network namespace. */
export interface Visit {
  /** Names of its links; undefined: there is no such namespace. */
  readonly devices?: readonly string[]
  /** Entries of its conntrack. */
  readonly flows?: number
  /** What nft has printed, and why it refused. */
  readonly output?: string
  readonly error?: string
}

/** A namespace by its name in /run/netns, and what nft shall be told there. */
export type Errand = readonly [namespace: string, text: string | null]

/** Hundreds of namespaces take a tenth of a second, ms. */
const PATIENCE = 10_000

/**
 * Goes from one network namespace to the next, in a process of its own that stays (templates/localgw/visit.py): Node itself cannot
 * change its namespace, and a process for each would be too much every few seconds.
 */
export class Visitor {
  #child: ChildProcessWithoutNullStreams | undefined
  #waiting: PromiseWithResolvers<readonly Visit[]>[] = []

  /** One answer an errand, in their order. @throws OsSshError LOCAL_TOOL when Python or libnftables is not here, or does not answer */
  async visit(errands: readonly Errand[]): Promise<readonly Visit[]> {
    if (errands.length === 0) return []
    const child = this.#start()
    const answer = Promise.withResolvers<readonly Visit[]>()
    this.#waiting.push(answer)
    const late = setTimeout(() => child.kill('SIGKILL'), PATIENCE)
    child.stdin.write(`${JSON.stringify(errands)}\n`)
    return answer.promise.finally(() => clearTimeout(late))
  }

  close(): void {
    this.#child?.stdin.end()
  }

  #start(): ChildProcessWithoutNullStreams {
    if (this.#child !== undefined) return this.#child
    const child = spawn('python3', ['-I', join(packageRoot(), 'templates', 'localgw', 'visit.py')], {
      stdio: 'pipe',
    })
    this.#child = child
    let said = ''
    child.stderr.setEncoding('utf8').on('data', text => (said = `${said}${text}`.slice(-1000)))
    child.stdin.on('error', () => undefined)
    createInterface({input: child.stdout}).on('line', line =>
      this.#waiting.shift()?.resolve(JSON.parse(line)),
    )
    const over = (cause?: Error) => {
      if (this.#child === child) this.#child = undefined
      const reason = cause?.message ?? (said.trim().split('\n').at(-1) || 'it was killed')
      const fault = new OsSshError(
        'LOCAL_TOOL',
        `python3 with libnftables, for the network namespaces: ${reason}`,
        {
          hint: 'apt-get install python3 libnftables1',
          cause,
        },
      )
      for (const one of this.#waiting.splice(0)) one.reject(fault)
    }
    child.on('error', over)
    child.on('close', () => over())
    return child
  }
}
