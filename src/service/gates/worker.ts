import {OsSshError} from '../../errors.ts'
import {Rounds} from '../../system/rounds.ts'
import type {GateLink, ServiceContext} from '../context.ts'
import {fail} from '../endings.ts'
import {readyAttachments} from '../store/attachment-steps.ts'
import {attachments as attachmentsOf, pendingBy} from '../store/attachments.ts'
import {gate as gateById, gateDown, gateUp, noteClock} from '../store/gates.ts'
import {LIVE, UNCUT} from '../store/lifecycle.ts'
import {cutPaths, releasePaths} from '../store/path-steps.ts'
import {pathsOfGate} from '../store/paths.ts'
import type {AttachmentRow, GateRow, PathRow} from '../store/schema.ts'
import {login} from './addresses.ts'
import {letGo} from './attachments.ts'
import {directProbe, Prober, probeOf} from './prober.ts'
import {renderAccounts, renderGate, renderSessions} from './render.ts'
import {QUARANTINE_MS} from './times.ts'

/** Accounts made at a time, and how many free ones there should always be. */
const POOL_STEP = 128
const POOL_SPARE = 8
/** How long a NIC that Nova calls attached may take to show up in the gate, ms. */
const NIC_MS = 20_000
const NIC_POLL_MS = 100
/** Clocks that differ by less are the same, ms. */
const SKEW_MS = 3000
/** How long an answer about sessions is good for, ms. */
const SESSIONS_MS = 1000

/**
 * Makes one gate what the database says, round by round.
 */
export class GateWorker {
  readonly gateId: string
  readonly #context: ServiceContext
  #connection: {readonly to: string; readonly link: GateLink} | undefined
  readonly #rounds: Rounds
  #asked: {readonly at: number; readonly answer: Promise<ReadonlySet<string>>} | undefined
  /** What this connection has seen applied; empty after a loss, so that everything is sent anew. */
  #applied = {base: '', attachments: new Map<string, string>(), accounts: 0}
  readonly #prober: Prober
  readonly #nicSince = new Map<string, number>()
  #closed = false

  constructor(gateId: string, context: ServiceContext) {
    this.gateId = gateId
    this.#context = context
    this.#prober = new Prober(context, () => this.#later(0))
    this.#rounds = new Rounds(() =>
      this.#reconcile()
        .catch(error => this.#down(error))
        .catch(err => context.log.error({err}, 'a round could not be written down')),
    )
  }

  /** Asks for a round that begins after this call; resolves when it has ended. Never rejects: faults go to the paths. */
  wake(): Promise<void> {
    return this.#rounds.ask()
  }

  /** Another round, ms from now. */
  #later(ms: number): void {
    this.#context.jobs.later(ms, () => this.wake())
  }

  /** Forget what was applied: the next round sends the whole state. */
  forget(): void {
    this.#applied = {base: '', attachments: new Map(), accounts: 0}
    this.#prober.forget()
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
    const gate = await gateById(this.#context.db, this.gateId)
    if (gate === undefined || this.#closed) return new Set()
    if (gate.state === 'down') return new Set()
    const {stdout, status} = await this.#link(gate).run(renderSessions())
    if (status !== 0) throw new OsSshError('GATE_DOWN', 'the gate does not say who is connected')
    return new Set(stdout.split('\n').filter(line => /^osp\d{4}$/.test(line)))
  }

  close(): void {
    this.#closed = true
    this.#rounds.stop()
    this.#connection?.link.close()
  }

  async #reconcile(): Promise<void> {
    const {db, clock} = this.#context
    const gate = await gateById(db, this.gateId)
    if (gate === undefined || this.#closed) return
    const link = this.#link(gate)
    const now = clock()
    const attachments = await attachmentsOf(db, {gate_id: gate.id})
    const paths = await pathsOfGate(db, gate.id)
    await this.#accounts(link, paths)

    const present = attachments.filter(row => row.state === 'plugged' || row.state === 'ready')
    const sent = this.#changed(gate, present, paths, now)
    const result = await link.run(renderGate({...sent, slots: present.map(row => row.slot), paths, now}))
    const applied = /^applied (\d{1,12})$/m.exec(result.stdout)
    if (result.status !== 0 || applied === null) {
      this.forget()
      throw new OsSshError(
        'GATE_DOWN',
        `the gate could not be configured: ${result.stderr.trim().slice(-300)}`,
      )
    }
    if (result.stderr !== '')
      this.#context.log.warn({gate: gate.name, stderr: result.stderr.slice(-2000)}, 'gate says')
    await this.#up(gate, Number(applied[1]) * 1000)
    const uncut = paths.filter(path => (UNCUT as readonly string[]).includes(path.state))
    await cutPaths(
      db,
      uncut.map(path => path.id),
      clock(),
    )
    if (paths.some(path => path.cut_at !== null && path.cut_at <= now - QUARANTINE_MS))
      await releasePaths(db, gate.id, now - QUARANTINE_MS)
    await this.#acknowledge(sent, result.stdout, paths, present, link)
    await this.#removed(attachments)
  }

  #link(gate: GateRow): GateLink {
    const to = `${gate.login}@${gate.host}:${gate.port} ${gate.host_key}`
    if (this.#connection?.to !== to) {
      this.#connection?.link.close()
      const address = {host: gate.host, port: gate.port, login: gate.login, hostKey: gate.host_key}
      const lost = () => {
        this.forget()
        if (!this.#closed) this.#later(1000)
      }
      this.#connection = {to, link: this.#context.connect(address, lost)}
    }
    return this.#connection.link
  }

  /** What this gate has not been sent yet. */
  #changed(gate: GateRow, present: readonly AttachmentRow[], paths: readonly PathRow[], now: number) {
    const {ca} = this.#context
    const identity = {
      userCa: ca.userCa,
      hostCertificate: ca.signGate(gate.id, gate.host_key, now),
      keepNics: gate.keep_nics,
    }
    const fresh = this.#applied.base !== identity.hostCertificate
    const stamps = new Map(present.map(row => [row.id, attachmentStamp(row, paths)]))
    // One that went and comes again is new to the gate, even if it looks the same.
    for (const id of this.#applied.attachments.keys())
      if (!stamps.has(id)) this.#applied.attachments.delete(id)
    const attachments = present.filter(row => this.#applied.attachments.get(row.id) !== stamps.get(row.id))
    // Until the gate has said ready nothing counts as applied; #acknowledge fills the attachments in.
    this.#applied.base = identity.hostCertificate
    return {...(fresh ? {base: identity} : {}), attachments, sweep: fresh, stamps}
  }

  /** Makes accounts ahead of need, many at a time: so few rounds wait for them. */
  async #accounts(link: GateLink, paths: readonly PathRow[]): Promise<void> {
    const highest = paths.reduce((max, path) => Math.max(max, Number(path.login.slice(3)) + 1), 0)
    const wanted = Math.ceil((highest + POOL_SPARE) / POOL_STEP) * POOL_STEP
    const have = this.#applied.accounts
    if (have >= wanted) return
    const missing = Array.from({length: wanted - have}, (_, n) => login(have + n))
    const {status, stderr} = await link.run(renderAccounts(missing))
    if (status !== 0)
      throw new OsSshError('GATE_DOWN', `no accounts on the gate: ${stderr.trim().slice(-300)}`)
    this.#applied.accounts = wanted
  }

  /** Reads the gate's answer, attachment by attachment, and lets the waiting paths go on. */
  async #acknowledge(
    sent: {readonly attachments: readonly AttachmentRow[]; readonly stamps: ReadonlyMap<string, string>},
    stdout: string,
    paths: readonly PathRow[],
    attachments: readonly AttachmentRow[],
    link: GateLink,
  ): Promise<void> {
    const {db, clock} = this.#context
    const answers = new Map(
      [...stdout.matchAll(/^attachment (\d+) (ready|nic-missing|failed)$/gm)].map(m => [Number(m[1]), m[2]]),
    )
    for (const row of sent.attachments) {
      if (answers.get(row.slot) === 'ready') {
        this.#nicSince.delete(row.id)
        this.#applied.attachments.set(row.id, sent.stamps.get(row.id) ?? '')
        if (row.state !== 'ready') await readyAttachments(db, [row.id])
        continue
      }
      // What was ready before is not any more: nothing goes through it until the gate says so again.
      this.#applied.attachments.delete(row.id)
      const since = this.#nicSince.get(row.id) ?? clock()
      this.#nicSince.set(row.id, since)
      const waiting = paths.filter(p => p.attachment_id === row.id && p.state === 'pending').map(p => p.id)
      if (clock() - since < NIC_MS) this.#later(NIC_POLL_MS)
      else {
        const fault = new OsSshError('NIC_MISSING', 'the network interface did not appear in the gate')
        if ((await fail(this.#context, waiting, fault)).length > 0) this.#later(0)
        this.#nicSince.delete(row.id)
      }
    }
    const ready = new Map(
      attachments.filter(row => this.#applied.attachments.has(row.id)).map(row => [row.id, row]),
    )
    const {admitted} = await pendingBy(db, [...ready.values()])
    const known = new Set(paths.map(path => path.id))
    const probes = [
      ...paths.filter(path => path.state === 'pending' && path.route === 'direct').map(directProbe),
      // One that came during the round is not on the gate yet.
      ...admitted
        .filter(path => known.has(path.id))
        .flatMap(path => {
          const row = ready.get(path.attachment_id)
          return row === undefined ? [] : [probeOf(path, row, clock())]
        }),
    ]
    // A VM that does not answer must not hold up the others: the round ends without waiting for the probes.
    this.#prober.probe(link, probes)
  }

  /** The gate has forgotten these: now Nova and Neutron may. */
  async #removed(attachments: readonly AttachmentRow[]): Promise<void> {
    for (const row of attachments) if (row.state === 'removing') letGo(this.#context, row)
  }

  /** @param time the gate's, epoch ms, whole seconds */
  async #up(gate: GateRow, time: number): Promise<void> {
    const skew = time - this.#context.clock()
    // Nearer than this it cannot be told from the time that the answer took.
    const shown = Math.abs(skew) < SKEW_MS ? 0 : skew
    if (Math.abs(shown - gate.clock_skew) >= SKEW_MS) {
      await noteClock(this.#context.db, gate.id, shown)
      this.#context.log.warn({gate: gate.name, ms: shown}, 'the clock of the gate is off by')
    }
    if (gate.state === 'ready') return
    await gateUp(this.#context.db, gate.id)
    this.#context.log.info({gate: gate.name}, 'gate is ready')
  }

  async #down(error: unknown): Promise<void> {
    if (this.#closed) return
    this.forget()
    const {db, log} = this.#context
    const reason = error instanceof Error ? error.message : String(error)
    log.warn({gate: this.gateId, err: error}, 'gate round failed')
    await gateDown(db, this.gateId, reason)
    const waiting = await pathsOfGate(db, this.gateId)
    const fault = error instanceof OsSshError ? error : new OsSshError('GATE_DOWN', reason)
    await fail(
      this.#context,
      waiting.filter(p => p.state === 'pending').map(p => p.id),
      fault,
    )
    this.#later(5000)
  }
}

const isLive = ({state}: PathRow) => (LIVE as readonly string[]).includes(state)

/** Changes whenever the script for this attachment would. */
function attachmentStamp(row: AttachmentRow, paths: readonly PathRow[]): string {
  const own = paths.filter(path => path.attachment_id === row.id)
  const states = own.map(
    p => `${p.alias}>${p.address}@${p.certificate_until}@${p.expires_at}${isLive(p) ? 'live' : p.state}`,
  )
  return [row.mac, row.mtu, row.addresses, JSON.stringify(row.reach), ...states].join(' ')
}
