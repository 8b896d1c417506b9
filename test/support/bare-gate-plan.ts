import {aliasAt, DIRECT_SLOT, login} from '../../src/service/gates/addresses.ts'
import type {AttachmentRow, PathRow} from '../../src/service/store/schema.ts'

/* Who is there around a gate without a cloud, with which addresses; how its machine begins; and the rows that say what it shall be. */

export const GATE = '172.24.4.2'
export const OUTSIDE = '172.24.4.1'
/** The gate's address, a VM's and its router's on each tenant's network, and what lies behind that router. */
export const [NIC, VM] = ['10.0.0.2', '10.0.0.10']
const [VM_2, ROUTER, BEHIND] = ['10.0.0.11', '10.0.0.1', '10.1.0.5']
export const NIC6 = 'fd10::2'
const VM6 = 'fd10::10'
export const [GATE6, OUTSIDE6] = ['fd24::2', 'fd24::1']
const [SIDE, SIDE6] = ['192.168.7.10', 'fd07::10']
/** The network that came a moment ago: still in the gate's main namespace. */
export const FRESH_NIC = '10.9.0.2'
/** Aliases: of two paths of a tenant's, of the VM that needs no namespace; and one that nobody has. */
export const [MINE, SIBLING, DIRECT, NOBODY] = [
  aliasAt(0, 4, 0),
  aliasAt(0, 4, 1),
  aliasAt(DIRECT_SLOT, 4, 0),
  aliasAt(9, 4, 0),
]
export const [MINE6, DIRECT6, NOBODY6] = [aliasAt(0, 6, 0), aliasAt(DIRECT_SLOT, 6, 0), aliasAt(9, 6, 0)]
/** Of a client behind a carrier's NAT. */
export const CARRIER = '100.127.255.1'

export const MAC = 'fa:16:3e:00:00:05'
export const PATH = '/usr/sbin:/usr/bin:/sbin:/bin'
/** The most generous sshd that an operator may have: what the service says comes first. */
export const SSHD = `Include /etc/ssh/sshd_config.d/*.conf
KbdInteractiveAuthentication yes
PasswordAuthentication yes
UsePAM no
X11Forwarding yes
XAuthLocation /bin/true
PermitTunnel yes
UseDNS yes
GatewayPorts yes
Subsystem sftp internal-sftp
`
export const INIT = `set -e
  mount -t sysfs sysfs /sys; mount -t tmpfs -o mode=755 t /run; mount -t tmpfs t /mnt
  mkdir -p /run/netns /run/lock /run/sshd /run/os-ssh /run/home /mnt/up /mnt/work
  mount -t overlay o -o lowerdir=/etc,upperdir=/mnt/up,workdir=/mnt/work /etc
  mount -t tmpfs -o mode=755 t /var/log; touch /run/utmp /var/log/wtmp /var/log/btmp /var/log/lastlog
  rm -f /etc/ssh/sshd_config.d/* /etc/nologin /etc/resolv.conf; mkdir -p /etc/os-ssh
  # Nobody has the same address: there is no second to wait for that.
  nodad='echo 0 >/proc/sys/net/ipv6/conf/all/accept_dad; echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad'
  ip link set lo up; sh -c "$nodad"
  for ns in out vm side fresh; do ip netns add $ns; ip -n $ns link set lo up; ip netns exec $ns sh -c "$nodad"; done
  plug() { # NIC MAC NS
    ip link add "$1" address "$2" type veth peer name eth0 netns "$3"; ip -n "$3" link set eth0 up
  }
  plug eth0 fa:16:3e:00:00:01 out; plug eth1 fa:16:3e:00:00:02 side
  plug ens5 ${MAC} vm; plug ens7 fa:16:3e:00:00:07 fresh
  for nic in eth0 eth1 ens7; do ip link set $nic up; done
  ip address add ${GATE}/24 dev eth0; ip address add ${GATE6}/64 dev eth0 nodad
  ip address add 192.168.7.2/24 dev eth1; ip address add fd07::2/64 dev eth1 nodad
  ip address add ${FRESH_NIC}/24 dev ens7; ip address add fd09::2/64 dev ens7 nodad
  ip route add default via ${OUTSIDE}; ip route add default via ${OUTSIDE6}
  ip -n out address add ${OUTSIDE}/24 dev eth0; ip -n out address add ${OUTSIDE6}/64 dev eth0 nodad
  for address in ${NOBODY}/32 ${NOBODY6}/128 ${CARRIER}/32; do ip -n out address add $address dev lo; done
  # Everybody knows the way back, and to what they must not reach.
  for route in 10.9.0.0/24 100.64.0.0/20; do ip -n out route add $route via ${GATE}; done
  ip -n out route add fd09::/64 via ${GATE6}
  ip -n side address add ${SIDE}/24 dev eth0; ip -n side route add 172.24.4.0/24 via 192.168.7.2
  ip -n side address add ${SIDE6}/64 dev eth0 nodad; ip -n side route add fd24::/64 via fd07::2
  ip -n fresh address add 10.9.0.10/24 dev eth0; ip -n fresh route add default via ${FRESH_NIC}
  ip -n fresh address add fd09::10/64 dev eth0 nodad; ip -n fresh route add default via fd09::2
  for address in ${VM}/24 ${VM_2}/24 ${ROUTER}/24 ${BEHIND}/32; do ip -n vm address add $address dev eth0; done
  ip -n vm address add ${VM6}/64 dev eth0 nodad; ip -n vm route add 100.64.0.0/10 via ${NIC}
  # The client of sshd's pid file: sshd itself is started for each connection, and reads its configuration then.
  sh -c 'trap "" HUP; exec sleep infinity' & echo $! >/run/sshd.pid
  echo ready
  exec sleep infinity`

export const uuid = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
export function attachment(slot: number): AttachmentRow {
  const network = {network_id: uuid(100 + slot), project_id: 'p', port_id: uuid(200 + slot)}
  const reach = [
    {network_id: network.network_id, cidr: '10.0.0.0/24', via: null},
    {network_id: uuid(300), cidr: '10.1.0.0/24', via: ROUTER},
  ]
  const times = {wired_at: null, idle_since: null, created_at: 0}
  const addresses = [`${NIC}/24`, `${NIC6}/64`]
  const row = {id: uuid(slot), gate_id: uuid(999), slot, mtu: 1450, state: 'plugged'} as const
  return {...row, ...network, reach, mac: MAC, addresses, ...times}
}

/** Number n of the accounts, for an hour. */
function path(n: number, slot: number, alias: string, address: string): PathRow {
  const now = Date.now()
  const who = {user_id: 'u', user_name: 'alice', project_id: 'p', public_key: 'k', fingerprint: 'f'}
  const vm = {server_id: uuid(400 + n), server_name: 'vm', network_id: uuid(100 + slot), address}
  const times = {created_at: now, expires_at: now + 3_600_000, certificate_until: now + 3_600_000}
  const rest = {ended_at: null, cut_at: null, error: undefined, version: 1, applied: 0, serial: n}
  const route = slot === DIRECT_SLOT ? 'direct' : 'attached'
  const place = {gate_id: uuid(999), attachment_id: uuid(slot), alias, login: login(n)}
  return {id: uuid(500 + n), state: 'active', route, ...who, ...vm, ...place, ...times, ...rest}
}

/** By their accounts' numbers. */
export const paths = () =>
  [
    path(0, 0, MINE, VM),
    path(1, 0, SIBLING, VM_2),
    path(2, 0, MINE6, VM6),
    path(3, DIRECT_SLOT, DIRECT, SIDE),
    path(4, DIRECT_SLOT, DIRECT6, SIDE6),
  ] as const
