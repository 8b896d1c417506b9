import {existsSync} from 'node:fs'
import {mkdir} from 'node:fs/promises'
import {join} from 'node:path'

import {OsSshError} from '../errors.ts'
import {runtimeDirectory, stateDirectory, writeAtomic} from '../ssh/files.ts'
import {become} from '../ssh/process.ts'
import {isUuid} from './grant.ts'
import {ensurePath, freshPath, type PathFile} from './paths.ts'
import {slug, withSession} from './session.ts'

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
  const {cloud, serverId, keychain} = args
  const path =
    (await freshPath(await runtimeDirectory(slug(cloud)), serverId)) ??
    (await withSession({cloud, keychain, say}, session => ensurePath(session, serverId)))
  return become('ssh', gateArguments(path))
}

/** ssh's arguments for the hop through the gate. */
export function gateArguments(path: PathFile): string[] {
  return ['-F', path.config, '-W', `[${path.alias}]:${path.port}`, path.gate]
}

/** Tells bin/proxy which Node to start: editors and cron have another PATH. */
export async function rememberNode(directory = stateDirectory()): Promise<void> {
  if (!existsSync(directory)) await mkdir(directory, {recursive: true, mode: 0o700})
  await writeAtomic(join(directory, 'node'), `${process.execPath}\n`, 0o600)
}
