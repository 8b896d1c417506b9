import {setTimeout as sleep} from 'node:timers/promises'

import {type Finished, type RunOptions, run as runProgram} from '../../src/system/process.ts'

export type Result = Finished

/** A process and what it printed; ends it after `timeout` ms, a minute by default. */
export const run = (command: string, args: readonly string[], options: RunOptions = {}): Promise<Result> =>
  runProgram(command, args, {timeout: 60_000, ...options})

/** Looks again until it is so, at most `timeout` ms. */
export async function eventually<T>(
  look: () => Promise<T>,
  good: (value: T) => boolean,
  timeout = 20_000,
): Promise<T> {
  const deadline = Date.now() + timeout
  for (;;) {
    const value = await look()
    if (good(value) || Date.now() > deadline) return value
    await sleep(200)
  }
}
