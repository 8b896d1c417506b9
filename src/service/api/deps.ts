import type {IncomingMessage, ServerResponse} from 'node:http'

import type {TypeBoxTypeProvider} from '@fastify/type-provider-typebox'
import type {FastifyBaseLogger, FastifyInstance, FastifyRequest, RawServerDefault} from 'fastify'

import type {Activity} from '../activity.ts'
import type {Caller} from '../caller.ts'
import type {ServiceContext} from '../context.ts'
import type {Fleet} from '../deploy/fleet.ts'
import type {Gates} from '../gates/gates.ts'
import type {GrantLimits} from '../limits.ts'
import type {Turns} from '../turns.ts'

export type Authenticate = (request: FastifyRequest) => Promise<Caller>

/** What the routes work with. */
export interface Deps {
  readonly context: ServiceContext
  readonly gates: Gates
  readonly fleet: Fleet
  readonly authenticate: Authenticate
  readonly limits: GrantLimits
  /** Whose request is next; absent in embedded use. */
  readonly turns?: Turns | undefined
  readonly version: string
  /** When it was started, epoch ms. */
  readonly since: number
  readonly activity: Activity
  /** Has the service leave; absent where it is not its user's alone. */
  readonly leave?: (() => void) | undefined
}

export type Api = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>
