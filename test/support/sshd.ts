import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdirSync} from 'node:fs'
import {type AddressInfo, createServer} from 'node:net'
import {userInfo} from 'node:os'

/**
 * A real sshd for each connection (`sshd -i`), behind a port that is ours from the start: a free one that is closed again for
 * an sshd to open may be somebody else's by then.
 */
export class Sshd {
  readonly #server = createServer(socket => {
    const child = spawn('/usr/sbin/sshd', ['-i', '-e', '-f', this.#config], {stdio: 'pipe'})
    child.stderr.setEncoding('utf8').on('data', text => {
      this.said += text
    })
    socket.pipe(child.stdin).on('error', () => undefined)
    child.stdout.pipe(socket).on('error', () => undefined)
    socket.on('close', () => child.kill())
  })
  readonly #config: string
  /** Its log. */
  said = ''

  private constructor(config: string) {
    this.#config = config
  }

  /** @param config file */
  static async start(config: string): Promise<Sshd> {
    // What Debian's service unit makes; root's sshd refuses to start without it.
    if (userInfo().uid === 0) mkdirSync('/run/sshd', {recursive: true})
    const sshd = new Sshd(config)
    sshd.#server.listen(0, '127.0.0.1')
    await once(sshd.#server, 'listening')
    return sshd
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async stop(): Promise<void> {
    this.#server.close()
    await once(this.#server, 'close')
  }
}
