import {randomUUID} from 'node:crypto'

import {sql} from 'kysely'
import type {Logger} from 'pino'

import {patience, type Store} from './open.ts'

/** PostgreSQL's channel, and how many ids fit into its 8,000 bytes a message. */
const CHANNEL = 'os_ssh'
const IDS = 90
/** After the connection was lost, ms. */
const AGAIN_MS = 1000

/** What is told to the other replicas. */
export interface News {
  readonly paths?: readonly string[]
  /** Gates that have something to do. */
  readonly gates?: readonly string[]
  /** `GATE/PATH`: gates that somebody's path has led to in vain. */
  readonly doubts?: readonly string[]
  /** Those of which the holder of the lease knows by now whether they answer. */
  readonly settled?: readonly string[]
}

/** What one replica tells the others. */
export interface Wire {
  send(news: News): void
  close(): Promise<void>
}

const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'
const [ID, IN_GATE] = [new RegExp(`^${UUID}$`), new RegExp(`^${UUID}/${UUID}$`)]
const those = (value: unknown, like: RegExp) =>
  Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string' && like.test(one)) : []

/** @returns undefined for what is not one of ours, or of our own */
function read(text: string, self: string): News | undefined {
  try {
    const {from, paths, gates, doubts, settled} = JSON.parse(text) as Record<string, unknown>
    if (from === self) return undefined
    return {
      paths: those(paths, ID),
      gates: those(gates, ID),
      doubts: those(doubts, IN_GATE),
      settled: those(settled, IN_GATE),
    }
  } catch {
    return undefined
  }
}

function messages(news: News): News[] {
  return (['gates', 'doubts', 'settled', 'paths'] as const).flatMap(kind => {
    const all = news[kind] ?? []
    const parts = Array.from({length: Math.ceil(all.length / IDS)}, (_, n) =>
      all.slice(n * IDS, (n + 1) * IDS),
    )
    return parts.map(part => ({[kind]: part}))
  })
}

/**
 * LISTEN and NOTIFY between the replicas of one PostgreSQL.
 *
 * @param hear what the others say; undefined when something may have been missed
 */
export async function openWire(
  url: string,
  db: Store,
  log: Logger,
  hear: (news: News | undefined) => void,
): Promise<Wire> {
  const {default: pg} = await import('pg')
  const self = randomUUID()
  let client: InstanceType<typeof pg.Client> | undefined
  let timer: NodeJS.Timeout | undefined
  let closed = false
  const listen = async (): Promise<void> => {
    const next = new pg.Client({connectionString: url, ...patience})
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
