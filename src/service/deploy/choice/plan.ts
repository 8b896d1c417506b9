/** What a gate is to be made of, as far as it matters to whoever asks; the rest is chosen. */
export interface Wish {
  /** Id or name, as all of these. */
  readonly image?: string
  readonly flavor?: string
  /** Where the gate stands. */
  readonly network?: string
  /** External network that a floating IP is taken from. */
  readonly external?: string
  readonly address?: AddressKind
  readonly zone?: string
  /** Gates that are to be made; 1 when absent. */
  readonly count?: number
}

/** How a gate is reached: a floating IP, its own IPv4 address, its own IPv6 address. */
export type AddressKind = 'floating' | 'direct' | 'ipv6'

export interface Named {
  readonly id: string
  readonly name: string
}

/** Everything that was chosen, before anything is made. Names are the cloud's own: they are not fit for a terminal yet. */
export interface DeployPlan {
  readonly image: Named
  readonly flavor: Named
  /** GB of a volume to boot from, where the flavor has no disk. */
  readonly volume?: number
  readonly network: Named
  /** For the port; absent where the project does not see the subnets of the network, and Neutron takes one. */
  readonly subnet?: string
  readonly address: Address
  readonly zone?: string
  readonly count: number
  /** What it takes of the project's quota, as far as the cloud tells. */
  readonly quota: readonly QuotaNeed[]
}

export type Address =
  | {readonly kind: 'floating'; readonly network: Named}
  | {readonly kind: 'direct'}
  | {readonly kind: 'ipv6'}

export interface QuotaNeed {
  /** Nova's and Neutron's name of it: `instances`, `cores`, `ram` (MB), `port`, `floatingip`, … */
  readonly resource: string
  readonly needs: number
  /** What is reserved counts as used. */
  readonly used: number
  /** -1: none */
  readonly limit: number
}
