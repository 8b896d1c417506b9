import {run as runProgram} from './process.ts'

/** A command of the machine that failed, with its own words. */
export class CommandError extends Error {
  readonly status: number
  readonly stderr: string

  constructor(argv: readonly string[], status: number, stderr: string) {
    super(`${argv.slice(0, 6).join(' ')}: ${stderr.trim() || `exit status ${status}`}`)
    this.name = 'CommandError'
    this.status = status
    this.stderr = stderr
  }
}

/** A command of the machine's may take long when the machine is busy, ms. */
const PATIENCE = 10 * 60_000

/**
 * Runs a command to its end and gives its standard output. Never a shell.
 * @throws CommandError when it exits with anything but 0
 */
export async function run(argv: readonly string[], options: {input?: string} = {}): Promise<string> {
  const [program = '', ...args] = argv
  const {status, stdout, stderr} = await runProgram(program, args, {...options, timeout: PATIENCE})
  if (status !== 0) throw new CommandError(argv, status, stderr || stdout)
  return stdout
}

/** Runs a command whose failure means that there was nothing to do. */
export async function attempt(argv: readonly string[]): Promise<boolean> {
  try {
    await run(argv)
    return true
  } catch (error) {
    if (error instanceof CommandError) return false
    throw error
  }
}

/** `ip -batch` in a network namespace (by its name), or in the current one when undefined. One process for many lines. */
export async function ipBatch(netns: string | undefined, lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return
  const argv = ['ip', ...(netns === undefined ? [] : ['-n', netns]), '-batch', '-']
  await run(argv, {input: `${lines.join('\n')}\n`})
}

/** Loads an nft script in a network namespace. */
export async function nft(netns: string, script: string): Promise<void> {
  await run(['nsenter', `--net=/run/netns/${netns}`, 'nft', '-f', '-'], {input: script})
}

/** Sets sysctls of a network namespace; a key that this kernel lacks is passed over. */
export async function sysctl(
  netns: string,
  values: Readonly<Record<string, string | number>>,
): Promise<void> {
  const input = Object.entries(values).map(([key, value]) => `${key} = ${value}`)
  await run(['nsenter', `--net=/run/netns/${netns}`, 'sysctl', '-q', '-e', '-p', '-'], {
    input: `${input.join('\n')}\n`,
  })
}

/**
 * Neighbours may know another MAC for this address, of a guest or a router that is gone, and would ask that one for half a minute.
 * Real ones are told by the DHCP client or the l3 agent. Nobody waits for it: arping takes a second.
 */
export function announce(netns: string, device: string, address: string): void {
  if (address.includes(':')) return
  const inside = ['nsenter', `--net=/run/netns/${netns}`]
  void attempt([...inside, 'arping', '-q', '-U', '-c', '1', '-I', device, address])
}
