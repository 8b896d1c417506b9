/*
 * The one table of modes: observed attributes -> mode, read top-down, the first that holds wins.
 * `overlay` rows say something about a router without saying where its packets cross; the rest of the table, read
 * without them, is the router's *carrier*. The last row holds always, so that every router has exactly one mode.
 */

export type Mode =
  | 'no-gateway'
  | 'custom'
  | 'multihomed'
  | 'routed'
  | 'no-nat'
  | 'local-gateway'
  | 'ovn-pinned'
  | 'ovn-central'
  | 'dvr-central-fip'
  | 'dvr-ha'
  | 'dvr-central'
  | 'central-ha'
  | 'central-legacy'
  | 'unknown'

/** What was seen of one router; null means that the API does not show it (role, release, or a failed listing). */
export interface Observed {
  readonly gateways: number
  readonly enable_snat: boolean | null
  readonly flavor_id: string | null
  readonly backend: 'ovs' | 'ovn' | null
  readonly distributed: boolean | null
  readonly ha: boolean | null
  /** Its IPv4 subnets in the address scope of the external network. */
  readonly same_scope: 'all' | 'some' | 'none' | null
  /** Whether floating IPs of its VMs are translated in the SNAT namespace as well. */
  readonly central_fips: 'all' | 'some' | 'none' | null
  readonly external_type: string | null
  /** Nodes where a local gateway of this router is active, by the word of their agents. */
  readonly local_gateways: number
}

export interface Rule {
  readonly mode: Mode
  /** The condition, in words, for `--explain`. */
  readonly when: string
  readonly holds: (seen: Observed) => boolean
  /** The attributes that the condition reads. */
  readonly reads: readonly (keyof Observed)[]
  readonly overlay?: true
}

const TUNNELS = new Set(['geneve', 'vxlan', 'gre', 'stt'])

export const RULES: readonly Rule[] = [
  {
    mode: 'no-gateway',
    when: 'the router has no external gateway',
    holds: o => o.gateways === 0,
    reads: ['gateways'],
  },
  {
    mode: 'custom',
    when: 'the router has a flavor: a driver of its own carries it',
    holds: o => o.flavor_id !== null,
    reads: ['flavor_id'],
  },
  {
    mode: 'multihomed',
    when: 'more than one external gateway; the first one wins for SNAT',
    holds: o => o.gateways > 1,
    reads: ['gateways'],
    overlay: true,
  },
  {
    mode: 'routed',
    when: 'enable_snat is false: packets cross the gateway host untranslated',
    holds: o => o.enable_snat === false,
    reads: ['enable_snat'],
    overlay: true,
  },
  {
    mode: 'no-nat',
    when: 'every IPv4 subnet is in the address scope of the external network',
    holds: o => o.same_scope === 'all',
    reads: ['same_scope'],
    overlay: true,
  },
  {
    mode: 'local-gateway',
    when: 'the agent of a node has said lately that this router leaves there',
    holds: o => o.local_gateways > 0,
    reads: ['local_gateways'],
    overlay: true,
  },
  {
    mode: 'ovn-pinned',
    when: 'OVN, and the external network is a tunnelled one',
    holds: o => o.backend === 'ovn' && TUNNELS.has(o.external_type ?? ''),
    reads: ['backend', 'external_type'],
  },
  {
    mode: 'ovn-central',
    when: 'OVN',
    holds: o => o.backend === 'ovn',
    reads: ['backend', 'external_type'],
  },
  {
    mode: 'dvr-central-fip',
    when: 'distributed, and every floating IP is translated in the SNAT namespace too',
    holds: o => o.distributed === true && o.central_fips === 'all',
    reads: ['distributed', 'central_fips'],
  },
  {
    mode: 'dvr-ha',
    when: 'distributed and ha',
    holds: o => o.distributed === true && o.ha === true,
    reads: ['distributed', 'ha'],
  },
  {
    mode: 'dvr-central',
    when: 'distributed and not ha',
    holds: o => o.distributed === true,
    reads: ['distributed', 'ha'],
  },
  {
    mode: 'central-ha',
    when: 'not distributed, ha',
    holds: o => o.distributed === false && o.ha === true,
    reads: ['distributed', 'ha'],
  },
  {
    mode: 'central-legacy',
    when: 'neither distributed nor ha',
    holds: o => o.distributed === false && o.ha === false,
    reads: ['distributed', 'ha'],
  },
  {
    mode: 'unknown',
    when: 'what the API shows does not tell',
    holds: () => true,
    reads: [],
  },
]

/** Every mode, in the order of the table. */
export const MODES: readonly Mode[] = RULES.map(rule => rule.mode)

export interface Verdict {
  readonly mode: Mode
  /** Where its packets cross: the mode itself, or what an overlay lies upon. */
  readonly carrier: Mode
  /** The attributes of which the decision hung and that this account cannot see. */
  readonly unseen: readonly (keyof Observed)[]
}

/** Decides the mode of a router. Total: every combination of attributes yields exactly one. */
export function decide(seen: Observed): Verdict {
  const rule = first(RULES, seen)
  const carrier = rule.overlay ? first(CARRIERS, seen) : rule
  const unseen = [...new Set([...rule.reads, ...carrier.reads])].filter(key => isUnseen(seen, carrier, key))
  return {mode: rule.mode, carrier: carrier.mode, unseen}
}

const CARRIERS = RULES.filter(rule => !rule.overlay)

function first(rules: readonly Rule[], seen: Observed): Rule {
  const found = rules.find(rule => rule.holds(seen))
  if (!found) throw new Error('the last rule of the table holds always')
  return found
}

/** For 'unknown' all that a mode hangs on is missing; `flavor_id` null is an answer. */
function isUnseen(seen: Observed, carrier: Rule, key: keyof Observed): boolean {
  if (key === 'flavor_id') return false
  return seen[key] === null && (key !== 'external_type' || carrier.mode === 'ovn-central')
}

export interface Step {
  readonly mode: Mode
  readonly when: string
  readonly holds: boolean
  readonly seen: readonly string[]
}

/** The way through the table, for `--explain`: each rule read, what it saw, and whether it held. */
export function explain(seen: Observed): readonly Step[] {
  const steps: Step[] = []
  for (const rule of RULES) {
    const holds = rule.holds(seen)
    steps.push({
      mode: rule.mode,
      when: rule.when,
      holds,
      seen: rule.reads.map(key => `${key}=${shown(key, seen[key])}`),
    })
    // The carrier of an overlay is part of the answer: go on to the first rule that is none.
    if (holds && !rule.overlay) break
  }
  return steps
}

/** No flavor is an answer; anything else that is null was not shown. */
function shown(key: keyof Observed, value: Observed[keyof Observed]): string {
  return value === null ? (key === 'flavor_id' ? 'none' : '?') : String(value)
}
