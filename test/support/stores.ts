import {spawnSync} from 'node:child_process'
import {chownSync, globSync, mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll} from '@jest/globals'
import pg from 'pg'

import {openStore, type Store} from '../../src/service/store/open.ts'

/* The databases that the service runs on, each opened anew, for suites that run over both. */

export interface Dialect {
  readonly name: 'SQLite' | 'PostgreSQL'
  /** An empty database with today's tables; whatever was opened before is gone. */
  open(): Promise<Store>
}

const [initdb] = globSync('/usr/lib/postgresql/*/bin/initdb').sort().reverse()
// scripts/setup has installed it; only who may not install anything does without.
if (initdb === undefined && process.getuid?.() === 0)
  throw new Error('there is no PostgreSQL: sh scripts/setup')

let home: string | undefined

/** Debian's PostgreSQL on a socket of its own; started once for a test file. */
function postgres(): string {
  if (home !== undefined) return home
  home = mkdtempSync(join(tmpdir(), 'os-ssh-postgres-'))
  const root = process.getuid?.() === 0
  // It refuses to be run by root.
  const owner = root ? (['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups'] as const) : []
  if (root) {
    const id = (flag: string) => Number(spawnSync('id', [flag, 'postgres']).stdout.toString())
    chownSync(home, id('-u'), id('-g'))
  }
  const call = (tool: string, args: readonly string[]) => {
    const [program = '', ...words] = [...owner, join(initdb as string, '..', tool), ...args]
    const {status, stderr, stdout} = spawnSync(program, words, {cwd: '/', stdio: ['ignore', 'pipe', 'pipe']})
    if (status !== 0) throw new Error(`${tool}: ${stdout}${stderr}`)
  }
  const data = `${home}/data`
  call('initdb', ['-D', data, '-U', 'test', '-A', 'trust', '-E', 'UTF8', '--no-sync'])
  const settings = `-c synchronous_commit=off -c listen_addresses= -c unix_socket_directories=${home} -c fsync=off`
  call('pg_ctl', ['-D', data, '-o', settings, '-l', `${home}/log`, '-w', 'start'])
  stop = () => call('pg_ctl', ['-D', data, '-m', 'immediate', '-w', 'stop'])
  return home
}
let stop: (() => void) | undefined
afterAll(() => {
  stop?.()
  if (home !== undefined) rmSync(home, {recursive: true})
})

/** Of the database that `postgres` has started. */
const url = () => `postgres://test@localhost/postgres?host=${encodeURIComponent(postgres())}`

async function openPostgres(): Promise<Store> {
  const client = new pg.Client({connectionString: url()})
  await client.connect()
  // Its tables stay: to make them anew, or a database a test, takes many times as long.
  const {rows} = await client.query<{name: string}>(
    `select quote_ident(tablename) as name from pg_tables where schemaname = 'public' and tablename not like 'kysely%'`,
  )
  if (rows.length > 0)
    await client.query(`truncate ${rows.map(row => row.name).join(', ')} restart identity cascade`)
  await client.end()
  return openStore(url())
}

export const dialects: readonly Dialect[] = [
  {name: 'SQLite', open: () => openStore(':memory:')},
  ...(initdb === undefined ? [] : [{name: 'PostgreSQL' as const, open: openPostgres}]),
]
