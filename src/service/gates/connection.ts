import {createInterface} from 'node:readline'
import type {Readable} from 'node:stream'

import {type AlgorithmList, Client, type ClientChannel, type ServerHostKeyAlgorithm} from 'ssh2'

import {OsSshError} from '../../errors.ts'
import {type Forwarding, forwardLoopback} from './forwarding.ts'

const CONNECT_MS = 10_000
const RUN_MS = 60_000
/** What a script may print, bytes: a gate that says more is not one of ours any more. */
const MAX_OUTPUT = 1 << 20

export interface GateAddress {
  readonly host: string
  readonly port: number
  readonly login: string
  /** Pinned host key, `type base64`. */
  readonly hostKey: string
}

export interface ScriptResult {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** `silent`: nothing has answered in time; `unknown`: sshd says no, for whatever reason. */
export type Reached = 'open' | 'refused' | 'silent' | 'unknown'

/** A kept-open management connection to one gate. Connects on first use and again after it was lost. */
export class GateConnection {
  #client: Promise<Client> | undefined
  /** The same, from the first moment on. */
  #socket: Client | undefined
  #closed = false
  readonly #address: GateAddress
  readonly #privateKey: string
  readonly #onLost: () => void

  /** @param onLost called when an open connection ends, whoever ended it: what was applied must be looked at again */
  constructor(address: GateAddress, privateKey: string, onLost: () => void) {
    this.#address = address
    this.#privateKey = privateKey
    this.#onLost = onLost
  }

  /**
   * Runs a POSIX shell script as root, given by standard input: nothing of it shows in a process list.
   *
   * @param script may be a stream: the shell does what it has heard so far
   * @param onLine hears each line of standard output as soon as it is there
   * @param within how long it may take, ms
   * @throws OsSshError GATE_DOWN, HOST_KEY
   */
  async run(
    script: string | Readable,
    onLine?: (line: string) => void,
    within = RUN_MS,
  ): Promise<ScriptResult> {
    return this.#exec(await this.#open(), script, within, onLine)
  }

  /**
   * Does something listen there, seen from the gate's main namespace? Its sshd itself connects, which is no process there.
   *
   * @param within ms
   * @throws OsSshError GATE_DOWN, HOST_KEY
   */
  async reach(host: string, port: number, within: number): Promise<Reached> {
    const client = await this.#open()
    return new Promise(resolve => {
      const late = setTimeout(() => answer('silent'), within)
      const answer = (reached: Reached) => {
        clearTimeout(late)
        client.off('close', lost)
        resolve(reached)
      }
      const lost = () => answer('unknown')
      client.once('close', lost)
      const tried = (error: Error | undefined, channel: ClientChannel) => {
        channel?.destroy()
        if (error === undefined) answer('open')
        else answer(/refused/i.test(error.message) ? 'refused' : 'unknown')
      }
      try {
        client.forwardOut('127.0.0.1', 0, host, port, tried)
      } catch {
        // It has ended since it was handed over.
        answer('unknown')
      }
    })
  }

  /**
   * Whatever connects to a free port of the gate's own loopback comes to us, by the management connection.
   *
   * @throws OsSshError GATE_DOWN, also when the gate's sshd does not permit it; HOST_KEY
   */
  async forward(onChannel: (channel: ClientChannel) => void): Promise<Forwarding> {
    return forwardLoopback(await this.#open(), onChannel)
  }

  async #open(): Promise<Client> {
    if (this.#closed) throw new OsSshError('GATE_DOWN', 'the management connection to the gate is closed')
    this.#client ??= this.#connect()
    const opening = this.#client
    return opening.catch(error => {
      if (this.#client === opening) this.#client = undefined
      throw error
    })
  }

  /** For good, whether it is open or still opening: nothing of it keeps a service alive that is told to stop. */
  close(): void {
    this.#closed = true
    this.#client = undefined
    // Not end(), which waits for an answer that a gate that has gone silent does not give; after it, destroy() does nothing.
    this.#socket?.destroy()
  }

  #connect(): Promise<Client> {
    const {host, port, login, hostKey} = this.#address
    const [type = '', blob = ''] = hostKey.split(' ')
    const pinned = Buffer.from(blob, 'base64')
    const client = new Client()
    this.#socket = client
    const algorithms: AlgorithmList<ServerHostKeyAlgorithm> = hostKeyAlgorithms(type)
    let isOpen = false
    const opening: Promise<Client> = new Promise((resolve, reject) => {
      let changed = false
      const fail = (cause: Error) => {
        if (changed)
          reject(
            new OsSshError('HOST_KEY', `the host key of the gate at ${host} is not the pinned one`, {
              hint: 'if the gate was rebuilt on purpose, register it anew: os-ssh gate remove, os-ssh gate add',
            }),
          )
        else
          reject(
            new OsSshError('GATE_DOWN', `no management connection to the gate at ${host}: ${cause.message}`, {
              cause,
            }),
          )
      }
      client
        .on('ready', () => {
          // Each run and each try listens for the end.
          client.setMaxListeners(0)
          isOpen = true
          resolve(client)
        })
        .on('error', fail)
        .on('close', () => {
          fail(new Error('connection closed'))
          if (this.#client === opening) this.#client = undefined
          if (isOpen) this.#onLost()
        })
        .connect({
          host,
          port,
          username: login,
          privateKey: this.#privateKey,
          readyTimeout: CONNECT_MS,
          // A gate that has gone silent is noticed after 20 s at most: users wait for it.
          keepaliveInterval: 5000,
          keepaliveCountMax: 3,
          algorithms: {serverHostKey: algorithms},
          hostVerifier: (key: Buffer) => {
            changed = !key.equals(pinned)
            return !changed
          },
        })
      // Small writes that wait for each other's acknowledgement made a handshake take 200 ms instead of 30, and an exec 130 instead of 15.
      client.setNoDelay(true)
    })
    return opening
  }

  #exec(
    client: Client,
    script: string | Readable,
    within: number,
    onLine?: (line: string) => void,
  ): Promise<ScriptResult> {
    // sudo takes the variables away, and the script asks by which interface we have come.
    const command =
      this.#address.login === 'root' ? 'sh -s' : 'sudo -n env "SSH_CONNECTION=$SSH_CONNECTION" sh -s'
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        // A gate that hangs is treated as lost: the next run begins with a new connection and the whole state.
        client.destroy()
        reject(new OsSshError('GATE_DOWN', `the gate did not finish within ${within / 1000} s`))
      }, within)
      // The timer goes with whatever ends it: it would keep a service that is told to stop alive for a minute.
      const finish = () => {
        clearTimeout(late)
        client.off('close', lost)
      }
      const lost = () => {
        finish()
        reject(new OsSshError('GATE_DOWN', 'the management connection to the gate was lost'))
      }
      client.once('close', lost)
      const begun = (error: Error | undefined, channel: ClientChannel) => {
        if (error) {
          finish()
          reject(new OsSshError('GATE_DOWN', `the gate refuses a session: ${error.message}`, {cause: error}))
          return
        }
        const out = {stdout: '', stderr: ''}
        let heard = 0
        const collect = (name: 'stdout' | 'stderr') => (chunk: Buffer) => {
          heard += chunk.length
          if (heard <= MAX_OUTPUT) {
            out[name] += chunk.toString('utf8')
            return
          }
          finish()
          reject(new OsSshError('GATE_DOWN', `the gate says more than ${MAX_OUTPUT} bytes`))
          client.destroy()
        }
        channel.on('data', collect('stdout'))
        if (onLine !== undefined) createInterface({input: channel}).on('line', onLine)
        channel.stderr.on('data', collect('stderr'))
        channel.on('close', (code: number | null) => {
          finish()
          resolve({status: code ?? 255, ...out})
        })
        if (typeof script === 'string') channel.end(script)
        else script.pipe(channel)
      }
      try {
        client.exec(command, begun)
      } catch (cause) {
        // It has ended since it was handed over.
        finish()
        reject(new OsSshError('GATE_DOWN', 'the management connection to the gate was lost', {cause}))
      }
    })
  }
}

/** Ask only for the pinned kind of key: a gate has several, and any other would look like a changed one. */
function hostKeyAlgorithms(type: string): ServerHostKeyAlgorithm[] {
  return type === 'ssh-rsa' ? ['rsa-sha2-512', 'rsa-sha2-256'] : [type as ServerHostKeyAlgorithm]
}
