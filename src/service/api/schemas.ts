import {type Static, Type} from 'typebox'

/* The shapes that clients may send. They match src/protocol; what is not named here is refused. */

const Uuid = Type.String({pattern: '^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$'})
/** A name of ours: shown in tables and logs, so nothing that a terminal would act on. */
const Name = Type.String({pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'})

export const PathBody = Type.Object(
  {
    server_id: Uuid,
    public_key: Type.String({minLength: 16, maxLength: 2048}),
    network_id: Type.Optional(Uuid),
    life: Type.Optional(Type.Integer({minimum: 60, maximum: 30 * 86_400, description: 'seconds'})),
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
    host_key: Type.Optional(Type.String({pattern: '^ssh-ed25519 [A-Za-z0-9+/]{64,128}={0,2}$'})),
  },
  {additionalProperties: false},
)

export const IdParams = Type.Object({id: Uuid})

export const PathQuery = Type.Object(
  {
    server_id: Type.Optional(Uuid),
    all: Type.Optional(Type.Boolean({description: 'admin: paths of every user'})),
  },
  {additionalProperties: false},
)

export const WaitQuery = Type.Object({
  wait: Type.Optional(
    Type.Integer({minimum: 0, maximum: 120, description: 'seconds to wait for a pending path'}),
  ),
})

export const AuditQuery = Type.Object({limit: Type.Optional(Type.Integer({minimum: 1, maximum: 1000}))})

export type GateBody = Static<typeof GateBody>
