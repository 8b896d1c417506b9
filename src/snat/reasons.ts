/** Why packets of a router do not leave by local gateways, on every node or on one. */
export const REASONS = {
  'no-gateway': 'it has no external gateway',
  'no-snat': 'its SNAT is off: it routes without translation',
  'no-nat': 'its subnets are in the address scope of the external network: nothing is translated',
  ovn: 'OVN translates on the chassis of the gateway port; one a node would need rows that Neutron does not know',
  custom: 'its flavor has a driver of its own',
  multihomed: 'it has several external gateways',
  unknown: 'this account does not see whether it is distributed',
  'not-distributed': 'it is not distributed: its packets are routed on the gateway host only',
  'central-ha':
    'it is highly available but not distributed: its packets are routed on the active replica only',
  'ipv6-only': 'it has no IPv4 subnet, and IPv6 is not translated',
  qos: 'a QoS policy of its gateway limits what leaves, and would not hold elsewhere',
  'conntrack-helper': 'a conntrack helper works for it in its SNAT namespace only',
  'snat-log': 'Neutron writes a log of its SNAT, in its SNAT namespace only',
  'own-default-route': 'its own routes send the outside elsewhere',
  'no-agent': 'no L3 agent is seen on the node: there is none, or this account may not see agents',
  'no-external-leg': 'the L3 agent of the node has no way to the external network',
  'central-here': 'its central SNAT is on the node already',
  'too-many': 'as many routers leave from the node already as can',
} as const

export type Reason = keyof typeof REASONS
