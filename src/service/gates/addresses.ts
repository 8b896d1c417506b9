/*
 * The address plan of a gate. Each attachment (slot 0..1023) has a /20 of 100.64.0.0/10 (RFC 6598: shared address
 * space, routed nowhere) and a /64 of a ULA (RFC 4193); the first addresses are the veth link between the gate's main
 * namespace and the attachment's, the rest are aliases.
 */

export const ALIAS_RANGE_4 = '100.64.0.0/10'
export const ALIAS_RANGE_6 = 'fd5e:6f73:7368::/48'
const MAX_SLOTS = 1024
/** Aliases of VMs that the gate reaches by its own way out; no attachment gets this slot. */
export const DIRECT_SLOT = MAX_SLOTS - 1
/** Aliases of a slot. */
export const ALIASES = 4000
const FIRST_ALIAS = 16

export type Family = 4 | 6

export interface SlotPlan {
  readonly slot: number
  /** Names of the namespace and of the veth's end in the main namespace. */
  readonly namespace: string
  readonly veth: string
  readonly block4: string
  readonly gate4: string
  readonly inner4: string
  readonly block6: string
  readonly gate6: string
  readonly inner6: string
}

const ipv4 = (n: number) => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255].join('.')
const base4 = (slot: number) => (100 << 24) + (64 << 16) + slot * 4096
// slot + 1: the text of an address whose fourth group is not zero is the canonical one (RFC 5952)
const base6 = (slot: number) => `fd5e:6f73:7368:${(slot + 1).toString(16)}`

/** Names and link addresses of a slot. @throws RangeError outside 0..1023 (our bug) */
export function slotPlan(slot: number): SlotPlan {
  if (!Number.isInteger(slot) || slot < 0 || slot >= MAX_SLOTS) throw new RangeError(`slot ${slot}`)
  return {
    slot,
    namespace: `os-ssh-${slot}`,
    veth: `osv${slot}`,
    block4: `${ipv4(base4(slot))}/20`,
    gate4: ipv4(base4(slot)),
    inner4: ipv4(base4(slot) + 1),
    block6: `${base6(slot)}::/64`,
    gate6: `${base6(slot)}::2`,
    inner6: `${base6(slot)}::3`,
  }
}

/**
 * The alias of number n of a slot, below ALIASES. The spelling matters: sshd's permitopen compares text.
 */
export function aliasAt(slot: number, family: Family, n: number): string {
  if (family === 4) return ipv4(base4(slot) + FIRST_ALIAS + n)
  return `${base6(slot)}::${(FIRST_ALIAS * FIRST_ALIAS + n).toString(16)}`
}

/** Accounts that there can be on a gate. */
export const ACCOUNTS = 10_000
/** The account of number n: `osp0000` … `osp9999`. */
export const login = (n: number) => `osp${String(n).padStart(4, '0')}`
/** The number of an account. */
export const loginNumber = (name: string) => Number(name.slice(3))
