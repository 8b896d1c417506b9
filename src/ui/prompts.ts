import {openSync} from 'node:fs'
import {ReadStream, WriteStream} from 'node:tty'

import type {Conversation, Questions, Whose} from '../conversation.ts'
import {OsSshError} from '../errors.ts'
import {plain} from '../names/plain.ts'
import {inForeground} from '../system/process.ts'

/** After this nobody is there, ms; in ssh's ProxyCommand sooner than ssh gives up (180 s, ConnectTimeout of the VM's Host). */
const PATIENCE = 120_000
const PROXY_PATIENCE = 45_000

interface Terminal {
  readonly input: NodeJS.ReadableStream
  readonly output: NodeJS.WritableStream
  /** Gives the terminal back. */
  close(): void
}

/**
 * What a command says to its user while it works: lines on standard error, and questions where there is a terminal,
 * where inquirer would else just end the process. Standard output stays data.
 */
export function conversation(): Conversation {
  const {stdin, stderr} = process
  const open = () => ({input: stdin, output: stderr, close: () => {}})
  return talk(stdin.isTTY && stderr.isTTY ? open : undefined, PATIENCE)
}

/**
 * The same for ssh's ProxyCommand, whose standard input is ssh's: it asks on the terminal that ssh itself has, and only while
 * that is the terminal's foreground job, as reading it would stop any other.
 */
export function proxyConversation(): Conversation {
  return talk(inForeground() ? openTerminal : undefined, PROXY_PATIENCE)
}

function talk(terminal: (() => Terminal) | undefined, patience: number) {
  let asking = 0
  const hidden = async (message: string, error?: string) => {
    if (terminal === undefined) throw new TypeError('there is no terminal')
    const {password} = await import('@inquirer/prompts')
    const {input, output, close} = terminal()
    asking++
    const restored = restoring(input, output)
    try {
      if (error !== undefined) output.write(`${error}\n`)
      const context = {input, output, signal: AbortSignal.timeout(patience)}
      // Nothing of it is shown, nor how long it is, nor may it be made visible over somebody's shoulder.
      const silent = {mask: false, toggleMask: false, theme: {style: {maskedText: ''}}}
      return await password({message, ...silent}, context)
    } catch (cause) {
      if ((cause as Error).name !== 'AbortPromptError') throw cause
      throw new OsSshError('NOT_LOGGED_IN', `nobody has answered within ${patience / 1000} s: ${message}`, {
        cause,
      })
    } finally {
      asking--
      restored()
      close()
    }
  }
  const say = (line: string) => void process.stderr.write(`os-ssh: ${plain(line)}\n`)
  const ask: Questions = {
    password: ({user, cloud, again}: Whose) =>
      hidden(`Password of ${plain(user)} on ${plain(cloud)}:`, again ? 'That is not it.' : undefined),
    passcode: ({user, cloud, again}: Whose) =>
      hidden(
        `One-time password of ${plain(user)} on ${plain(cloud)}:`,
        again ? 'That is not it.' : undefined,
      ),
    confirm: async question => {
      const {confirm} = await import('@inquirer/prompts')
      const {input, output, close} = (terminal as () => Terminal)()
      asking++
      try {
        return await confirm({message: plain(question), default: true}, {input, output})
      } finally {
        asking--
        close()
      }
    },
    passphrase: (first, of = 'the file keychain') =>
      first ? newPassphrase(hidden, of) : hidden(`Passphrase of ${plain(of)}:`),
  }
  return {
    say,
    ...(terminal && {ask}),
    // Not while a question is open: it would stand in the answer.
    ...(process.stderr.isTTY && {progress: (line: string) => (asking === 0 ? say(line) : undefined)}),
  }
}

/** A terminal without echo must not outlive us: ssh ends its ProxyCommand by SIGHUP. @returns what takes the care away again */
function restoring(input: Terminal['input'], output: Terminal['output']): () => void {
  const end = () => {
    ;(input as Partial<ReadStream>).setRawMode?.(false)
    output.write('\u001b[?25h\n')
    process.exit(129)
  }
  for (const signal of ['SIGHUP', 'SIGTERM'] as const) process.once(signal, end)
  return () => {
    for (const signal of ['SIGHUP', 'SIGTERM'] as const) process.off(signal, end)
  }
}

/** A slip in a passphrase that seals something would lose it: it is typed twice. */
async function newPassphrase(
  hidden: (message: string, error?: string) => Promise<string>,
  of: string,
): Promise<string> {
  for (let error: string | undefined; ; error = 'These were different, or empty.') {
    const one = await hidden(`New passphrase for ${plain(of)}:`, error)
    const other = await hidden('Once more:')
    if (one === other && one !== '') return one
  }
}

function openTerminal(): Terminal {
  const fd = openSync('/dev/tty', 'r+')
  const [input, output] = [new ReadStream(fd), new WriteStream(fd)]
  return {
    input,
    output,
    close() {
      input.destroy()
      output.destroy()
    },
  }
}
