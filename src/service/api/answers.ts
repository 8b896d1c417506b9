import {type TSchema, Type} from 'typebox'

/*
 * The shapes that the service answers with: only what is named here leaves it. They are src/protocol's; test/unit/service/api
 * does not compile otherwise.
 */

const Text = Type.String()
const Time = Type.String({format: 'date-time'})
const List = <T extends TSchema>(items: T) => Type.Immutable(Type.Array(items))
const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])

export const Problem = Type.Object(
  {
    type: Text,
    title: Text,
    status: Type.Integer(),
    code: Text,
    detail: Text,
    hint: Type.Optional(Text),
    request_id: Type.Optional(Text),
  },
  {description: 'RFC 9457'},
)

const Rebuild = Type.Object({
  request_id: Text,
  at: Time,
  user_id: Text,
  keys_seen: Type.Boolean({description: 'whether host_keys are of after it'}),
})

const path = {
  id: Text,
  state: Type.Enum(['pending', 'active', 'failed', 'ended']),
  user_id: Text,
  user_name: Text,
  project_id: Text,
  server_id: Text,
  server_name: Text,
  network_id: Text,
  route: Type.Enum(['routed', 'attached', 'direct']),
  address: Text,
  alias: Type.String({description: 'the address on the gate that stands for the VM'}),
  port: Type.Integer(),
  gate: Type.Object({id: Text, name: Text, host: Text, port: Type.Integer()}),
  login: Type.String({description: 'account on the gate'}),
  created_at: Time,
  expires_at: Type.String({format: 'date-time', description: 'the end of open sessions, too'}),
  certificate_until: Type.String({format: 'date-time', description: 'nothing new begins after it'}),
  progress: Type.Optional(Type.String({description: 'what it waits for'})),
  error: Type.Optional(Problem),
}
export const Path = Type.Object(path)
export const Paths = Type.Object({paths: List(Path)})

const hostKeys = {host_keys: List(Text), rebuild: Type.Optional(Rebuild)}
export const PathGrant = Type.Object({
  ...path,
  certificate: Type.String({description: 'one OpenSSH line'}),
  host_ca: Text,
  host_cas: Type.Optional(List(Text)),
  ...hostKeys,
})

export const HostKeys = Type.Object({server_id: Text, ...hostKeys})

const Thing = Type.Object({id: Text, name: Text})
const GatePlan = Type.Object({
  image: Thing,
  flavor: Thing,
  volume: Type.Optional(Type.Integer({description: 'GB'})),
  network: Thing,
  subnet: Type.Optional(Text),
  address: Type.Object({
    kind: Type.Enum(['floating', 'direct', 'ipv6']),
    network: Type.Optional(Thing),
  }),
  zone: Type.Optional(Text),
  count: Type.Integer(),
  quota: List(
    Type.Object({
      resource: Text,
      needs: Type.Integer(),
      used: Type.Integer(),
      limit: Type.Integer({description: '-1: none'}),
    }),
  ),
})

export const Gate = Type.Object({
  id: Text,
  name: Text,
  server_id: Text,
  project_id: Text,
  scope: Type.Enum(['project', 'shared']),
  host: Text,
  port: Type.Integer(),
  state: Type.Enum(['wanted', 'booting', 'failed', 'new', 'ready', 'draining', 'down', 'deleting']),
  reason: Type.Optional(Text),
  attachments: Type.Integer(),
  paths: Type.Integer(),
  deployed: Type.Boolean({description: 'made by the service'}),
  created_at: Time,
  zone: Type.Optional(Text),
  serves: Type.Optional(Type.String({description: 'the one project, when that is not its own'})),
  plan: Type.Optional(GatePlan),
})
export const Gates = Type.Object({gates: List(Gate)})
export const Deployed = Type.Object({plan: GatePlan, gates: List(Gate)})
export const GateAccess = Type.Object({allow: List(Text)})

export const Attachments = Type.Object({
  attachments: List(
    Type.Object({
      id: Text,
      gate_id: Text,
      slot: Type.Integer(),
      network_id: Text,
      project_id: Text,
      mtu: Type.Integer(),
      reach: List(
        Type.Object({network_id: Text, cidr: Text, via: Nullable(Text), subnet_id: Type.Optional(Text)}),
      ),
      port_id: Nullable(Text),
      mac: Nullable(Text),
      addresses: List(Text),
      groups: List(Text),
      state: Type.Enum(['wanted', 'plugged', 'ready', 'removing']),
      wired_at: Nullable(Type.Integer()),
      idle_since: Nullable(Type.Integer()),
      created_at: Type.Integer(),
    }),
  ),
})

export const Audit = Type.Object({
  audit: List(
    Type.Object({
      id: Type.Integer(),
      at: Time,
      action: Text,
      user_id: Text,
      user_name: Text,
      project_id: Text,
      server_id: Nullable(Text),
      path_id: Nullable(Text),
      source: Nullable(Text),
      until: Nullable(Time),
      detail: Nullable(Text),
    }),
  ),
  next: Type.Optional(Type.Integer({description: 'as `before`, the next page'})),
})

export const Revoked = Type.Object({revoked: Type.Integer()})
export const Authorities = Type.Object({
  user_ca: Type.String({description: 'signs'}),
  host_ca: Type.String({description: 'signs'}),
  user_cas: Type.Immutable(Type.Array(Text, {description: 'trusted'})),
  host_cas: Type.Immutable(Type.Array(Text, {description: 'trusted'})),
})
export const Status = Type.Object({status: Text, version: Text})
export const Service = Type.Object({
  id: Type.String({description: 'the same for all replicas, after every restart'}),
  version: Text,
  since: Type.String({format: 'date-time', description: 'when this replica was started'}),
  project_id: Type.String({description: 'of its account'}),
  project_name: Text,
  limits: Type.Object(
    {paths: Type.Integer(), networks: Type.Integer()},
    {description: 'what one gate takes'},
  ),
})
export const Nothing = Type.Unsafe<undefined>({type: 'null', description: 'no content'})

/** What may go wrong on any route: a problem document. */
export const problems = {'4xx': Problem, '5xx': Problem}
