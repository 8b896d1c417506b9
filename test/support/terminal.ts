import {execFile} from 'node:child_process'
import {setTimeout as sleep} from 'node:timers/promises'
import {promisify} from 'node:util'

const execute = promisify(execFile)
/** Says how the last command ended; nothing else of ours looks so. */
const PROMPT = /^<(\d+)>$/

/** What a command left on the screen, without its own line, and how it ended. */
export interface Shown {
  readonly lines: readonly string[]
  readonly status: number
}

/** A shell on a terminal of 80 columns, as a person sits at it: tmux draws it, we read the screen and type. */
export class Terminal {
  readonly #server: string
  readonly #env: NodeJS.ProcessEnv
  #hung = 0

  private constructor(server: string, env: NodeJS.ProcessEnv) {
    this.#server = server
    this.#env = env
  }

  static async open(name: string, env: NodeJS.ProcessEnv, directory: string): Promise<Terminal> {
    const terminal = new Terminal(name, {...env, TERM: 'xterm', LANG: 'C.UTF-8'})
    const shell = ['bash', '--norc', '--noprofile']
    await terminal.#tmux(
      '-f',
      '/dev/null',
      'new-session',
      '-d',
      '-x',
      '80',
      '-y',
      '120',
      '-c',
      directory,
      ...shell,
    )
    await terminal.#type("PS1='<$?> '")
    await terminal.#shown(() => true)
    return terminal
  }

  #tmux(...words: string[]): Promise<{stdout: string}> {
    return execute('tmux', ['-L', this.#server, ...words], {env: this.#env})
  }

  async #type(text: string): Promise<void> {
    if (text === '^C') return void (await this.#tmux('send-keys', 'C-c'))
    await this.#tmux('send-keys', '-l', '--', text)
    await this.#tmux('send-keys', 'Enter')
  }

  /** Lines of the screen; what was too long for one is one again. */
  async #screen(): Promise<string[]> {
    const {stdout} = await this.#tmux('capture-pane', '-p', '-J')
    const lines = stdout.split('\n').map(line => line.trimEnd())
    while (lines.at(-1) === '') lines.pop()
    return lines
  }

  /** Waits until the last line of the screen is so. @throws Error with the screen after half a minute */
  async #shown(so: (last: string) => boolean): Promise<string[]> {
    const deadline = Date.now() + 30_000
    for (;;) {
      const lines = await this.#screen()
      if (lines.length > 0 && so(lines.at(-1) ?? '')) return lines
      if (Date.now() > deadline) {
        this.#hung++
        await this.#type('^C')
        throw new Error(`on the screen after 30 s:\n${lines.join('\n')}`)
      }
      await sleep(100)
    }
  }

  /** Types a command, and each answer when its question stands in the last line. */
  async run(command: string, answers: readonly {question: string; answer: string}[] = []): Promise<Shown> {
    if (this.#hung > 1) throw new Error('the terminal has hung before')
    await this.#tmux('send-keys', '-R')
    await this.#tmux('send-keys', 'C-l')
    await this.#shown(last => PROMPT.test(last))
    await this.#type(command)
    for (const {question, answer} of answers) {
      await this.#shown(last => last.includes(question))
      await this.#type(answer)
      // Until the answer is taken, so that the same question is not taken for the next one.
      await sleep(400)
    }
    const lines = await this.#shown(last => PROMPT.test(last))
    const first = lines.findIndex(line => line.includes('> '))
    return {lines: lines.slice(first + 1, -1), status: Number(PROMPT.exec(lines.at(-1) ?? '')?.[1])}
  }

  async close(): Promise<void> {
    await this.#tmux('kill-server').catch(() => undefined)
  }
}
