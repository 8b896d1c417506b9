import {type Static, Type} from 'typebox'

/* The shapes that clients may send. They match src/protocol; what is not named here is refused. */

const Uuid = Type.String({pattern: '^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$'})
/** As Nova writes it: rows are compared with it as text. */
const PlainUuid = Type.String({pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'})
/** Keystone's ids: users of a directory have 64 digits. */
const Id = Type.String({pattern: '^[0-9a-zA-Z_-]{1,64}$'})
/** A name of ours: shown in tables and logs, so nothing that a terminal would act on. */
const Name = Type.String({pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'})

export const PathBody = Type.Object(
  {
    server_id: Uuid,
    public_key: Type.String({minLength: 16, maxLength: 2048}),
    network_id: Type.Optional(Uuid),
    life: Type.Optional(Type.Integer({minimum: 60, maximum: 30 * 86_400, description: 'seconds'})),
    failed: Type.Optional(Type.Boolean({description: 'the path that there is led nowhere'})),
  },
  {additionalProperties: false},
)

export const PathPatch = Type.Object(
  {life: Type.Optional(Type.Integer({minimum: 60, maximum: 30 * 86_400, description: 'seconds'}))},
  {additionalProperties: false},
)

export const GateBody = Type.Object(
  {
    server_id: Uuid,
    name: Name,
    host: Type.String({pattern: '^[A-Za-z0-9][A-Za-z0-9.:-]{0,252}$'}),
    port: Type.Optional(Type.Integer({minimum: 1, maximum: 65_535})),
    scope: Type.Union([Type.Literal('project'), Type.Literal('shared')]),
    login: Type.Optional(Type.String({pattern: '^[a-z_][a-z0-9_-]{0,31}$'})),
    keep_nics: Type.Optional(
      Type.Array(Type.String({pattern: '^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$'}), {maxItems: 16}),
    ),
    host_key: Type.Optional(Type.String({pattern: '^ssh-ed25519 [A-Za-z0-9+/]{64,128}={0,2}$'})),
  },
  {additionalProperties: false},
)

/** What the cloud calls something: shown nowhere as it came, and no more than a name can be. */
const Word = Type.String({minLength: 1, maxLength: 255})

export const DeployBody = Type.Object(
  {
    scope: Type.Union([Type.Literal('project'), Type.Literal('shared')]),
    project_id: Type.Optional(Id),
    count: Type.Optional(Type.Integer({minimum: 1, maximum: 16})),
    zone: Type.Optional(Word),
    image: Type.Optional(Word),
    flavor: Type.Optional(Word),
    network: Type.Optional(Word),
    external: Type.Optional(Word),
    address: Type.Optional(
      Type.Union([Type.Literal('floating'), Type.Literal('direct'), Type.Literal('ipv6')]),
    ),
    dry_run: Type.Optional(Type.Boolean({description: 'only say what would be made'})),
  },
  {additionalProperties: false},
)

export const DrainBody = Type.Object(
  {drain: Type.Boolean({description: 'false: it takes new paths again'})},
  {additionalProperties: false},
)

export const AccessBody = Type.Object(
  {
    // What is none is said in our own words.
    allow: Type.Array(Type.String({maxLength: 64}), {minItems: 1, maxItems: 64}),
  },
  {additionalProperties: false},
)

export const IdParams = Type.Object({id: Uuid})

export const PathQuery = Type.Object(
  {
    server_id: Type.Optional(PlainUuid),
    all: Type.Optional(Type.Boolean({description: 'operators: paths of every user'})),
    user_id: Type.Optional(Id),
    project_id: Type.Optional(Id),
  },
  {additionalProperties: false},
)

/** What an operator revokes: the paths of one user, to one VM or to the VMs of one project. */
export const RevokeQuery = Type.Object(
  {server_id: Type.Optional(PlainUuid), user_id: Type.Optional(Id), project_id: Type.Optional(Id)},
  {additionalProperties: false, minProperties: 1, maxProperties: 1},
)

export const WaitQuery = Type.Object({
  wait: Type.Optional(
    Type.Integer({minimum: 0, maximum: 120, description: 'seconds to wait for a pending path'}),
  ),
})

export const ServiceQuery = Type.Object({
  fresh: Type.Optional(Type.Boolean({description: 'after all gates were asked'})),
})

export const AuditQuery = Type.Object(
  {
    limit: Type.Optional(Type.Integer({minimum: 1, maximum: 1000})),
    before: Type.Optional(
      Type.Integer({minimum: 1, description: 'entries older than this id: the next page'}),
    ),
    denials: Type.Optional(
      Type.Boolean({description: 'the refusals, which are apart so that they cannot bury the rest'}),
    ),
  },
  {additionalProperties: false},
)

export type GateBody = Static<typeof GateBody>
