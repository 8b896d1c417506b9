import type {ServiceContext} from '../context.ts'
import {changedPaths, heldBy, pathsOfGate} from '../store/paths.ts'
import type {AttachmentRow, GateRow, PathRow} from '../store/schema.ts'
import type {DesiredGate, GateIdentity} from './render.ts'

/** What a gate has said to a push. */
export interface Answer {
  /** Epoch ms by its clock, whole seconds; undefined when it did not come to the end. */
  readonly applied: number | undefined
  /** What has changed does not fit what is there. */
  readonly stale: boolean
  /** Who runs it instead. */
  readonly held:
    | {readonly service: string; readonly fence: number; readonly copy: string; readonly who: string}
    | undefined
  /** By slot. */
  readonly attachments: ReadonlyMap<number, 'ready' | 'nic-missing' | 'failed'>
}

/** Reads what a gate prints, which may be anything. */
export function readAnswer(text: string): Answer {
  const applied = /^applied (\d{1,12})$/m.exec(text)
  const [, service = '', fence, copy = '', who = ''] =
    /^held ([\w-]{1,64}) (\d{1,12})(?: ([0-9a-f-]{36}) ([\w.@ -]{0,64})| *)$/m.exec(text) ?? []
  const lines = [...text.matchAll(/^attachment (\d{1,4}) (ready|nic-missing|failed)$/gm)]
  return {
    applied: applied ? Number(applied[1]) * 1000 : undefined,
    stale: /^stale$/m.test(text),
    held: service === '' ? undefined : {service, fence: Number(fence), copy, who},
    attachments: new Map(lines.map(([, slot, said]) => [Number(slot), said as 'ready'])),
  }
}

export interface Push extends Omit<DesiredGate, 'holder'> {
  readonly stamps: ReadonlyMap<string, string>
  /** Since when nothing was forgotten: what is forgotten meanwhile stays so. */
  readonly epoch: number
}

/** What one gate has been told by this connection, so that it is told only what has changed. */
export class Told {
  /** Whether it has the whole state; all that follows is forgotten with it. */
  #whole = false
  #base = ''
  #slots = ''
  readonly #attachments = new Map<string, string>()
  #accounts = 0
  #epoch = 0

  /** How many accounts it has. */
  get accounts(): number {
    return this.#accounts
  }

  forget(): void {
    this.#epoch++
    this.#whole = false
    this.#base = ''
    this.#slots = ''
    this.#attachments.clear()
    this.#accounts = 0
  }

  has(attachmentId: string): boolean {
    return this.#attachments.has(attachmentId)
  }

  /** What is to be told now; undefined when it knows all of it. */
  async push(
    {db, ca}: Pick<ServiceContext, 'db' | 'ca'>,
    gate: GateRow,
    present: readonly AttachmentRow[],
    rested: readonly PathRow[],
    now: number,
  ): Promise<Push | undefined> {
    const epoch = this.#epoch
    const base: GateIdentity = {
      userCas: ca.userCas,
      hostCertificate: ca.signGate(gate.id, gate.host_key, now),
      keepNics: gate.keep_nics,
    }
    const freshBase = this.#base !== keyOf(base)
    // The guard comes with the base, and empty.
    const whole = !this.#whole || freshBase
    const slots = present.map(row => row.slot)
    const sameSlots = this.#slots === slots.join()
    const stamps = new Map(present.map(row => [row.id, stamp(row)]))
    for (const id of this.#attachments.keys()) if (!stamps.has(id)) this.#attachments.delete(id)
    // One that was plugged out and in again is new to it, too, even if it looks the same.
    const isNew = (row: AttachmentRow) =>
      whole || row.state === 'plugged' || this.#attachments.get(row.id) !== stamps.get(row.id)
    const anew = present.filter(isNew)
    const paths = whole ? await pathsOfGate(db, gate.id) : await changedPaths(db, gate.id)
    const isKnown = !whole && sameSlots && [paths, anew, rested].every(list => list.length === 0)
    if (isKnown) return undefined
    // Asked for after `paths`: what has come since is in both, or only here, and told once more.
    const ids = anew.map(row => row.id)
    const theirs = Map.groupBy(whole ? paths : await heldBy(db, ids), path => path.attachment_id)
    const standing = present.filter(row => !anew.includes(row))
    return {
      ...(freshBase ? {base} : {}),
      attachments: anew.map(row => ({row, paths: theirs.get(row.id) ?? []})),
      ...{slots, whole, paths, rested, stamps, epoch, now},
      slotOf: new Map(standing.map(row => [row.id, row.slot])),
    }
  }

  /** It has taken this push, but for its attachments. */
  took(push: Push): void {
    if (push.epoch !== this.#epoch) return
    this.#whole = true
    if (push.base !== undefined) this.#base = keyOf(push.base)
    this.#slots = push.slots.join()
  }

  /** It has, or has not, this attachment as it was pushed. */
  tookAttachment(id: string, push: Push, ready: boolean): void {
    if (push.epoch !== this.#epoch) return
    if (ready) this.#attachments.set(id, push.stamps.get(id) ?? '')
    else this.#attachments.delete(id)
  }

  /** It has so many accounts. */
  tookAccounts(count: number, push: Push): void {
    if (push.epoch === this.#epoch) this.#accounts = count
  }
}

const keyOf = ({userCas, hostCertificate, keepNics}: GateIdentity) =>
  [...userCas, hostCertificate, ...keepNics].join(' ')

/** Changes whenever the script for this attachment would, but for its paths. */
const stamp = ({mac, mtu, addresses, reach}: AttachmentRow) =>
  [mac, mtu, addresses, JSON.stringify(reach)].join(' ')
