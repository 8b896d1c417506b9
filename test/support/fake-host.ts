import {OsSshError} from '../../src/errors.ts'
import {generateKeyPair} from '../../src/ssh/keys.ts'

const keyOf = (line: string) => line.trim().split(' ').slice(0, 2).join(' ')

/** Keys cost more than the rest of a test: what a host would make is made once for all. */
const spare = Array.from({length: 4}, () => keyOf(generateKeyPair('host').publicKey))
let used = 0

/** What answers at a gate's address: the host key of its boot data, and the one that it makes instead. */
export class FakeHost {
  /** `type base64` */
  key: string
  next: string | undefined
  /** sshd does not answer. */
  isSilent = false
  console = ''
  /** What was run with a key that it had, in turn. */
  readonly ran: string[] = []

  /** @param userData base64 */
  constructor(userData: string) {
    const [, key = ''] =
      /ed25519_public: \|\s+(ssh-ed25519 \S+)/.exec(Buffer.from(userData, 'base64').toString()) ?? []
    this.key = key
  }

  /** Which script is it? */
  static nameOf(script: string): string {
    if (script === ':') return 'nothing'
    if (script.includes('ssh-keygen')) return 'new-host-key'
    if (script.includes('mv "$new"')) return 'take-host-key'
    if (script.includes('command -v nft')) return 'has-packages'
    return 'packages'
  }

  /** @throws OsSshError HOST_KEY for another host key than it has */
  meet(hostKey: string): void {
    if (hostKey !== this.key) throw new OsSshError('HOST_KEY', 'the gate shows another host key')
  }

  run(what: string) {
    this.ran.push(what)
    const done = (stdout = '') => ({status: 0, stdout, stderr: ''})
    if (what === 'new-host-key') {
      this.next ??= spare[used++ % spare.length]
      return done(`${this.next}\n`)
    }
    if (what === 'take-host-key') {
      if (this.next === undefined) return {status: 1, stdout: '', stderr: 'mv: no such file'}
      this.key = this.next
      this.next = undefined
    }
    return done()
  }
}
