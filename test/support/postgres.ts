import {spawnSync} from 'node:child_process'
import {chownSync, globSync, mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

const [initdb] = globSync('/usr/lib/postgresql/*/bin/initdb').sort().reverse()
const root = process.getuid?.() === 0

/** Whether this machine has one. @throws Error where scripts/setup must have installed it */
export function hasPostgres(): boolean {
  if (initdb === undefined && root) throw new Error('there is no PostgreSQL: sh scripts/setup')
  return initdb !== undefined
}

export interface Postgres {
  readonly url: string
  /** As a crash: nobody is told, and nothing is written. Its data stay. */
  crash(): void
  /** After a crash. */
  start(): void
  /** For good. */
  stop(): void
}

/**
 * Debian's PostgreSQL with an empty database, on a socket of its own. It refuses to be run by root.
 *
 * @param durable whether a commit waits for the disk, as it does where it matters
 */
export function startPostgres({durable} = {durable: false}): Postgres {
  const home = mkdtempSync(join(tmpdir(), 'os-ssh-postgres-'))
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
  const speed = durable ? '' : '-c fsync=off -c synchronous_commit=off'
  const settings = `${speed} -c listen_addresses= -c unix_socket_directories=${home}`
  const start = () => call('pg_ctl', ['-D', data, '-o', settings, '-l', `${home}/log`, '-w', 'start'])
  const crash = () => call('pg_ctl', ['-D', data, '-m', 'immediate', '-w', 'stop'])
  start()
  return {
    url: `postgres://test@localhost/postgres?host=${encodeURIComponent(home)}`,
    crash,
    start,
    stop() {
      crash()
      rmSync(home, {recursive: true})
    },
  }
}
