import {spawn} from 'node:child_process'
import {closeSync, openSync} from 'node:fs'
import {setTimeout as sleep} from 'node:timers/promises'

/**
 * Starts a program that outlives this process, in a session of its own.
 *
 * @param log file that its output is added to
 * @param env all that it gets to see of an environment
 * @param input what it reads on standard input, through a pipe
 * @returns its pid; 0 when it could not be started, which the log or the absence of what it makes tells
 */
export function startDaemon(
  argv: readonly string[],
  log: string,
  env: NodeJS.ProcessEnv,
  input?: string,
): number {
  const [program = '', ...args] = argv
  const output = openSync(log, 'a', 0o600)
  const stdin = input === undefined ? 'ignore' : 'pipe'
  const child = spawn(program, args, {detached: true, cwd: '/', stdio: [stdin, output, output], env})
  closeSync(output)
  child.on('error', () => undefined)
  // One that dies at once does not read.
  child.stdin?.on('error', () => undefined).end(input)
  child.unref()
  return child.pid ?? 0
}

/**
 * Asks again until there is an answer.
 *
 * @param patience ms in all @param pause ms between two questions
 * @returns the first answer that is neither undefined, false nor empty; undefined when there was none in time
 */
export async function until<T>(
  ask: () => Promise<T> | T,
  patience: number,
  pause: number,
): Promise<Exclude<T, undefined | false | ''> | undefined> {
  for (const end = Date.now() + patience; Date.now() < end; await sleep(pause)) {
    const answer = await ask()
    if (answer) return answer as Exclude<T, undefined | false | ''>
  }
  return undefined
}
