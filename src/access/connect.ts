import {join} from 'node:path'

import {renderConfig} from '../ssh/config.ts'
import {readIfThere, runtimeDirectory, writeAtomic} from '../ssh/files.ts'
import {knownHostsFile} from '../ssh/known-hosts.ts'
import {configPath} from '../ssh/quote.ts'
import {isUuid} from './grant.ts'
import {configHosts} from './hosts.ts'
import {ensurePath, freshPath} from './paths.ts'
import {rememberNode} from './proxy.ts'
import {findServer} from './servers.ts'
import {type SessionOptions, slug, withSession} from './session.ts'

export interface ConnectOptions extends SessionOptions {
  readonly vm: string
  /** Given to ssh as they are, before the host. */
  readonly sshOptions?: readonly string[]
  readonly command?: readonly string[]
}

/**
 * Gets the path to a VM and says how to start ssh for it. A VM named by its UUID whose path is fresh costs no call to
 * anybody. @returns the arguments of `ssh`. @throws OsSshError
 */
export async function connect(options: ConnectOptions): Promise<string[]> {
  const {vm, sshOptions = [], command = []} = options
  const {file, id} =
    (await remembered(options)) ?? (await withSession(options, session => prepare(session, vm)))
  return ['-F', file, ...sshOptions, '--', id, ...command]
}

async function remembered({vm, cloud, env}: ConnectOptions): Promise<{file: string; id: string} | undefined> {
  if (!cloud || !isUuid(vm)) return undefined
  const directory = await runtimeDirectory(slug(cloud), env)
  const file = join(directory, `${vm}.ssh`)
  if ((await readIfThere(file)) === undefined || !(await freshPath(directory, vm))) return undefined
  return {file, id: vm}
}

async function prepare(
  session: Parameters<typeof configHosts>[0],
  vm: string,
): Promise<{file: string; id: string}> {
  const server = await findServer(session, vm)
  const [hosts] = await Promise.all([
    configHosts(session, [server]),
    ensurePath(session, server.id),
    rememberNode(),
  ])
  const file = join(session.directory, `${server.id}.ssh`)
  await writeAtomic(file, renderConfig(hosts, configPath(knownHostsFile())), 0o600)
  return {file, id: server.id}
}
