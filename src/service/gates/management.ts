import {isIP} from 'node:net'

import {OsSshError} from '../../errors.ts'
import type {GateLink, ServiceContext} from '../context.ts'
import {gate as gateById} from '../store/gates.ts'
import type {GateRow} from '../store/schema.ts'
import {inTime} from './in-time.ts'
import {renderLeave, renderSessions} from './render.ts'

/** How long an answer about sessions is good for, ms. */
const SESSIONS_MS = 1000
/** A gate that is doubted has so long to say anything, ms. */
const CHECK_MS = 6000

/** The management connection to one gate, and what is asked of it beside the rounds: that needs no lease. */
export class Management {
  readonly #gateId: string
  readonly #context: ServiceContext
  readonly #onLost: () => void
  #connection: {readonly to: string; readonly link: GateLink} | undefined
  #asked: {readonly at: number; readonly answer: Promise<ReadonlySet<string>>} | undefined
  #checking: Promise<void> | undefined
  #closed = false

  /** @param onLost called when the connection ends, whoever ended it, but for close() */
  constructor(gateId: string, context: ServiceContext, onLost: () => void) {
    this.#gateId = gateId
    this.#context = context
    this.#onLost = onLost
  }

  /** To where the gate is now. */
  link(gate: GateRow): GateLink {
    const to = `${gate.login}@${gate.host}:${gate.port} ${gate.host_key}`
    if (this.#connection?.to !== to) {
      this.#connection?.link.close()
      const address = {host: gate.host, port: gate.port, login: gate.login, hostKey: gate.host_key}
      const lost = () => {
        if (!this.#closed) this.#onLost()
      }
      this.#connection = {to, link: this.#context.connect(address, lost)}
    }
    return this.#connection.link
  }

  /**
   * Accounts of paths with a connection to the gate now, or a second ago: sshd admits few sessions a connection, so that all
   * who ask share one.
   *
   * @throws OsSshError GATE_DOWN, HOST_KEY
   */
  sessions(): Promise<ReadonlySet<string>> {
    const now = this.#context.clock()
    if (this.#asked === undefined || now - this.#asked.at > SESSIONS_MS)
      this.#asked = {at: now, answer: this.#sessions()}
    return this.#asked.answer
  }

  async #sessions(): Promise<ReadonlySet<string>> {
    const gate = await this.#answering()
    if (gate === undefined) return new Set()
    const {stdout, status} = await this.link(gate).run(renderSessions())
    if (status !== 0) throw new OsSshError('GATE_DOWN', 'the gate does not say who is connected')
    return new Set(stdout.split('\n').filter(line => /^osp\d{4}$/.test(line)))
  }

  /** Does it still answer, as far as it is not known to be down? All who ask at once share one question. @throws OsSshError GATE_DOWN */
  check(): Promise<void> {
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined
    })
    return this.#checking
  }

  async #check(): Promise<void> {
    const gate = await this.#answering()
    if (gate === undefined) return
    const link = this.link(gate)
    try {
      await inTime(link.run(':'), CHECK_MS, `the gate does not answer within ${CHECK_MS / 1000} s`)
    } catch (error) {
      // What hangs is not waited for any longer: the next round begins anew.
      this.reset()
      throw error
    }
  }

  /** The next question takes a new connection. */
  reset(): void {
    this.#connection?.link.close()
    this.#connection = undefined
    this.#asked = undefined
  }

  /** The address that we come from, as the gate sees it, by a connection that is made for this. @throws OsSshError GATE_DOWN */
  async seenFrom(gate: GateRow): Promise<string> {
    this.reset()
    const {stdout} = await this.link(gate).run('echo "${SSH_CONNECTION%% *}"')
    const [address = ''] = stdout.trim().split('%')
    if (isIP(address) === 0) throw new OsSshError('GATE_DOWN', 'the gate does not say where we come from')
    return address
  }

  async #answering(): Promise<GateRow | undefined> {
    const gate = await gateById(this.#context.db, this.#gateId)
    return this.#closed || gate?.state === 'down' ? undefined : gate
  }

  /** The gate was removed: another service may have it. @throws OsSshError GATE_DOWN */
  async leave(gate: GateRow): Promise<void> {
    await this.link(gate).run(renderLeave(this.#context.serviceId))
  }

  close(): void {
    this.#closed = true
    this.#connection?.link.close()
  }
}
