import {mkdir} from 'node:fs/promises'
import {join} from 'node:path'

import {OsSshError} from '../errors.ts'
import {runtimeDirectory, stateDirectory, writeAtomic} from '../ssh/files.ts'
import {become} from '../ssh/process.ts'
import {freshPath, type PathFile} from './path-file.ts'
import {isUuid, slug} from './words.ts'

/** What a ProxyCommand says: `proxy CLOUD VM_UUID [KEYCHAIN]`. */
export interface ProxyArguments {
  readonly cloud: string
  readonly serverId: string
  readonly keychain?: string | undefined
}

/** @throws OsSshError USAGE */
export function proxyArguments(words: readonly string[]): ProxyArguments {
  const [cloud, serverId = '', keychain, ...more] = words
  if (!cloud || !isUuid(serverId) || more.length > 0) {
    throw new OsSshError('USAGE', 'proxy CLOUD VM_UUID [KEYCHAIN] is for ssh: see os-ssh config')
  }
  return {cloud, serverId, keychain}
}

/**
 * The entry of a ProxyCommand when the path is not fresh: asks the service for one and becomes the ssh that carries
 * the bytes. Never reads standard input, which is ssh's. @throws OsSshError
 */
export async function proxy(args: ProxyArguments, say: (line: string) => void): Promise<never> {
  const fresh = await freshPath(await runtimeDirectory(slug(args.cloud)), args.serverId)
  return become('ssh', gateArguments(fresh ?? (await renewed(args, say))))
}

/** What a fresh path needs not is not even loaded. */
async function renewed(
  {cloud, serverId, keychain}: ProxyArguments,
  say: (line: string) => void,
): Promise<PathFile> {
  const [{withSession}, {ensurePath}] = await Promise.all([import('./session.ts'), import('./paths.ts')])
  return withSession({cloud, keychain, say}, session => ensurePath(session, serverId))
}

/** ssh's arguments for the hop through the gate. */
function gateArguments(path: PathFile): string[] {
  return ['-F', path.config, '-W', `[${path.alias}]:${path.port}`, path.gate]
}

/** Tells bin/proxy which Node to start: editors and cron have another PATH. */
export async function rememberNode(directory = stateDirectory()): Promise<void> {
  await mkdir(directory, {recursive: true, mode: 0o700})
  await writeAtomic(join(directory, 'node'), `${process.execPath}\n`, 0o600)
}
