import {sql} from 'kysely'
import type {Logger} from 'pino'

import type {Store} from './open.ts'

/** PostgreSQL's channel, and how many ids fit into its 8,000 bytes a message. */
const CHANNEL = 'os_ssh'
const IDS = 150
/** After the connection was lost, ms. */
const AGAIN_MS = 1000

/** What is told to the other replicas. */
export interface News {
  readonly paths?: readonly string[]
  readonly gates?: readonly string[]
}

/** What one replica tells the others. */
export interface Wire {
  send(news: News): void
  close(): Promise<void>
}

const isId = (value: unknown): value is string => typeof value === 'string' && /^[\w-]{1,64}$/.test(value)
const ids = (value: unknown) => (Array.isArray(value) ? value.filter(isId) : [])

/** @returns undefined for what is not one of ours, or of our own */
function read(text: string, self: string): News | undefined {
  try {
    const {from, paths, gates} = JSON.parse(text) as Record<string, unknown>
    return from === self ? undefined : {paths: ids(paths), gates: ids(gates)}
  } catch {
    return undefined
  }
}

function messages({paths = [], gates = []}: News): News[] {
  const parts: News[] = gates.length > 0 ? [{gates}] : []
  for (let n = 0; n < paths.length; n += IDS) parts.push({paths: paths.slice(n, n + IDS)})
  return parts
}

/**
 * LISTEN and NOTIFY between the replicas of one PostgreSQL.
 *
 * @param self name of this replica
 * @param hear what the others say; undefined when something may have been missed
 */
export async function openWire(
  url: string,
  db: Store,
  self: string,
  log: Logger,
  hear: (news: News | undefined) => void,
): Promise<Wire> {
  const {default: pg} = await import('pg')
  let client: InstanceType<typeof pg.Client> | undefined
  let timer: NodeJS.Timeout | undefined
  let closed = false
  const listen = async (): Promise<void> => {
    const next = new pg.Client({connectionString: url, keepAlive: true})
    const lost = (err?: Error) => {
      if (client !== next || closed) return
      client = undefined
      log.warn({err}, 'the database is not heard')
      timer = setTimeout(() => void listen(), AGAIN_MS)
    }
    client = next
    next.on('error', lost)
    next.on('end', () => lost())
    next.on('notification', ({payload = ''}) => {
      const news = read(payload, self)
      if (news !== undefined) hear(news)
    })
    try {
      await next.connect()
      await next.query(`listen ${CHANNEL}`)
      hear(undefined)
    } catch (error) {
      lost(error as Error)
      next.end().catch(() => undefined)
    }
  }
  await listen()
  const notify = (news: News) =>
    sql`select pg_notify(${CHANNEL}, ${JSON.stringify({from: self, ...news})})`.execute(db)
  return {
    send: news =>
      void Promise.all(messages(news).map(notify)).catch(err =>
        log.warn({err}, 'other replicas are not told'),
      ),
    async close() {
      closed = true
      clearTimeout(timer)
      await client?.end().catch(() => undefined)
    },
  }
}
