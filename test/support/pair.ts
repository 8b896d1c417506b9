import {setTimeout as sleep} from 'node:timers/promises'

import pg from 'pg'

import type {Path, PathGrant} from '../../src/protocol/index.ts'
import {generateKeyPair, type KeyPairText} from '../../src/ssh/keys.ts'
import {GateShell, type GateState} from './gate-watch.ts'
import type {Granted, Load} from './load.ts'
import {type Postgres, startPostgres} from './postgres.ts'
import {eventually} from './run.ts'
import type {ServiceProcess} from './service.ts'
import {World} from './world.ts'

/** How long two replicas may take to make everything true after whatever has happened, ms. */
const SETTLED_MS = 30_000
const FIRST_ROUNDS_MS = 3000

/** Rows, gate and cloud side by side: in each of these both lists must be equal. */
export interface Books {
  readonly paths: readonly string[]
  readonly principals: readonly string[]
  readonly elements: readonly string[]
  readonly ports: readonly string[]
}

/** Two replicas of the service on one gate and one PostgreSQL. */
export class Pair {
  readonly world: World
  readonly postgres: Postgres
  readonly a: ServiceProcess
  readonly b: ServiceProcess
  readonly gate: GateShell
  /** Of alice. */
  readonly token: string
  readonly #db: pg.Pool

  private constructor(world: World, postgres: Postgres, b: ServiceProcess, gate: GateShell, token: string) {
    this.world = world
    this.postgres = postgres
    this.a = world.service
    this.b = b
    this.gate = gate
    this.token = token
    this.#db = new pg.Pool({connectionString: postgres.url, max: 1})
    // The tests take the database away.
    this.#db.on('error', () => undefined)
  }

  /** @param name see openSite */
  static async open(name: string, flags: readonly string[]): Promise<Pair> {
    // What was answered must be there after a crash of the database, too.
    const postgres = startPostgres({durable: true})
    let world: World | undefined
    try {
      world = await World.open(name, {flags: ['--database', postgres.url, ...flags]})
      const b = await world.startReplica()
      return new Pair(world, postgres, b, await GateShell.open(world), await world.token('tenant1'))
    } catch (error) {
      await world?.close()
      postgres.stop()
      throw error
    }
  }

  async close(): Promise<void> {
    this.gate.close()
    await this.#db.end()
    await this.world.close()
    this.postgres.stop()
  }

  /** As below, at a moment at which the first rounds of the other one are over as well. */
  async roles(holder = this.a): Promise<{holder: ServiceProcess; other: ServiceProcess}> {
    const them = await this.starting(holder)
    await sleep(FIRST_ROUNDS_MS)
    return them
  }

  /**
   * Both run without a path of alice's, and it is certain which of them has the lease: it was alone, and has made and cut a path;
   * the other one came after that.
   */
  async starting(holder = this.a): Promise<{holder: ServiceProcess; other: ServiceProcess}> {
    const other = holder === this.a ? this.b : this.a
    await this.#ensure(holder)
    await other.stop()
    await this.endAll(holder)
    const path = await this.grant(holder, 't1-web')
    await this.end(holder, path)
    await other.start()
    return {holder, other}
  }

  async #ensure(service: ServiceProcess): Promise<void> {
    const answer = await fetch(`${service.url}/healthz`).catch(() => undefined)
    if (answer?.ok !== true) await service.start()
  }

  /** A new path by that replica. @throws Error for anything but 201 */
  async grant(
    at: ServiceProcess,
    server: string,
    key: KeyPairText = generateKeyPair('alice'),
  ): Promise<Granted> {
    const body = {server_id: this.world.server(server), public_key: key.publicKey}
    const answer = await at.ask<PathGrant>(this.token, 'POST', '/v1/paths', {body})
    if (answer.status !== 201) throw new Error(`grant: ${JSON.stringify(answer)}`)
    return {...answer, key}
  }

  /** @throws Error for anything but 204 */
  async end(at: ServiceProcess, path: Pick<Path, 'id'>): Promise<void> {
    const answer = await at.ask(this.token, 'DELETE', `/v1/paths/${path.id}`)
    if (answer.status !== 204) throw new Error(`end: ${JSON.stringify(answer)}`)
  }

  /** Alice's live paths as that replica lists them. */
  async listed(at: ServiceProcess): Promise<readonly Path[]> {
    return (await at.ask<{paths: Path[]}>(this.token, 'GET', '/v1/paths')).paths
  }

  async endAll(at: ServiceProcess): Promise<void> {
    for (const path of await this.listed(at)) await this.end(at, path)
  }

  async rows<T extends pg.QueryResultRow>(query: string, values: readonly unknown[] = []): Promise<T[]> {
    return (await this.#db.query<T>(query, [...values])).rows
  }

  /** Who has which lease, for a reader of the test's output; what was said instead where there is no such table. */
  async leases(): Promise<string> {
    return this.rows('select * from leases').then(
      rows => JSON.stringify(rows),
      error => String(error),
    )
  }

  /** What is, by the gate and the cloud, and what it should be by the rows: equal, when all is well. */
  async #books(): Promise<{is: Books; should: Books; state: GateState}> {
    const live = await this.rows<{id: string; login: string; alias: string}>(
      `select id, login, alias from paths where state in ('pending', 'active') order by login`,
    )
    const state = await this.gate.state()
    const cloud = await this.world.cloud('admin')
    const project_id = this.world.site.gates[0]?.project_id
    const ports = (await cloud.network.ports({project_id})).filter(port => port.name.startsWith('os-ssh-'))
    const attachments = await this.rows<{name: string}>(
      `select 'os-ssh-' || id || ' ' || coalesce(port_id, '') as name from attachments`,
    )
    const should = {
      paths: live.map(path => path.id).sort(),
      principals: live.map(path => `${path.login} ${path.id}`),
      elements: live.map(path => `${path.login} ${path.alias}`),
      ports: attachments.map(row => row.name).sort(),
    }
    const is = {
      ...{paths: should.paths, principals: state.principals, elements: state.elements},
      ports: ports.map(port => `${port.name} ${port.id}`).sort(),
    }
    return {is, should, state}
  }

  /**
   * Waits until rows, gate and cloud say the same, and the rows what was answered to the clients.
   *
   * @returns both sides as they are then, for a test to compare
   */
  async settled(load: Load): Promise<{is: Books; should: Books; state: GateState}> {
    const look = async () => {
      const books = await this.#books()
      return {...books, should: {...books.should, paths: [...load.granted.keys()].sort()}}
    }
    return eventually(look, ({is, should}) => JSON.stringify(is) === JSON.stringify(should), SETTLED_MS)
  }
}
