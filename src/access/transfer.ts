import {readFile} from 'node:fs/promises'
import {basename} from 'node:path'

import {readMark, writeMark} from '../embedded/mark.ts'
import {databaseOf, settingsOf} from '../embedded/place.ts'
import {stopAt} from '../embedded/stop.ts'
import {
  type Bundle,
  bundleOf,
  openBundle,
  placeDatabase,
  placeForStart,
  sealBundle,
} from '../embedded/transfer.ts'
import {OsSshError} from '../errors.ts'
import type {Gate} from '../protocol/index.ts'
import {makeDirectory, readIfThere, writeAtomic} from '../system/files.ts'
import {listGates} from './gates.ts'
import {keyStore, keysOf, ownPlace} from './own-service.ts'
import type {Session} from './session.ts'

/** Gets the passphrase of an export. @param first it seals one, and so is typed twice */
export type Passphrase = (first: boolean) => Promise<string>

/**
 * Writes all that another machine needs to go on with one's own service into a file (0600), sealed with a passphrase. The service goes on
 * here until that machine has taken the gates over.
 *
 * @throws OsSshError NOT_FOUND where `init` was not done; USAGE for a file that is there already
 */
export async function exportService(session: Session, file: string, passphrase: Passphrase): Promise<void> {
  const place = ownPlace(session)
  const mark = await readMark(place)
  if (mark === undefined)
    throw new OsSshError('NOT_FOUND', `there are no gates of your own in cloud ${session.name}`)
  if ((await readIfThere(file)) !== undefined)
    throw new OsSshError('USAGE', `${file} is there already`, {hint: 'name another file, or remove it'})
  const keys = await keysOf(session, false)
  const secret = await passphrase(true)
  const bundle = await stopAt(place, () => bundleOf(place, mark, keys))
  await writeAtomic(file, await sealBundle(bundle, secret), 0o600)
}

async function read(file: string, passphrase: Passphrase): Promise<Bundle> {
  const text = await readFile(file, 'utf8').catch(cause => {
    throw new OsSshError('USAGE', `${file} cannot be read: ${(cause as Error).message}`, {cause})
  })
  return openBundle(text, await passphrase(false))
}

/**
 * Goes on here with a service of another machine, and takes its gates over.
 *
 * @returns the gates
 * @throws OsSshError USAGE where there is one's own already, and for a file that cannot be used; CONFIG when its gates are another project's
 */
export async function importService(
  session: Session,
  file: string,
  passphrase: Passphrase,
): Promise<readonly Gate[]> {
  const place = ownPlace(session)
  if ((await readMark(place)) !== undefined)
    throw new OsSshError('USAGE', `cloud ${session.name} has gates of your own on this machine already`, {
      hint: 'os-ssh destroy takes them away',
    })
  const bundle = await read(file, passphrase)
  const {project} = await session.token()
  if (project?.id !== bundle.mark.project.id)
    throw new OsSshError(
      'CONFIG',
      `the gates of ${basename(file)} are in project ${bundle.mark.project.name}, and you are in ${project?.name ?? 'none'}`,
    )
  await makeDirectory(place.state)
  await stopAt(place, async () => {
    await keyStore(session).set(JSON.stringify(bundle.keys))
    if (bundle.settings !== '') await writeAtomic(settingsOf(place), bundle.settings, 0o600)
    await placeDatabase(bundle, databaseOf(place))
    await writeMark(place, bundle.mark)
  })
  await (await session.service()).request('GET', '/v1/service?fresh=true')
  return listGates(session)
}

/**
 * Puts a service of another machine where a server runs it by `service start --config`; from its start on the gates are run from there.
 *
 * @returns the configuration file
 * @throws OsSshError USAGE for a directory that has a service already, and for a file that cannot be used
 */
export async function importForStart(
  directory: string,
  file: string,
  passphrase: Passphrase,
): Promise<{config: string; project: string}> {
  if ((await readIfThere(`${directory}/service.db`)) !== undefined)
    throw new OsSshError('USAGE', `${directory} has a service already`)
  const bundle = await read(file, passphrase)
  return {config: await placeForStart(bundle, directory), project: bundle.mark.project.name}
}
