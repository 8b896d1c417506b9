import {randomUUID} from 'node:crypto'
import {rename} from 'node:fs/promises'
import {join} from 'node:path'
import {gunzipSync, gzipSync} from 'node:zlib'

import Sqlite from 'better-sqlite3'

import {OsSshError} from '../errors.ts'
import {put} from '../service/ca/files.ts'
import {takeOver} from '../service/store/instance.ts'
import {openStore} from '../service/store/open.ts'
import {makeDirectory, readIfThere, writeAtomic} from '../system/files.ts'
import {keyOf, newSalt, seal, unseal} from '../system/seal.ts'
import {parseKeys, type ServiceKeys} from './keys.ts'
import type {Mark} from './mark.ts'
import {databaseOf, type Place, settingsOf} from './place.ts'

/** A service as it travels: all that another machine needs to go on with it. */
export interface Bundle {
  readonly mark: Mark
  readonly keys: ServiceKeys
  /** Of service.yaml. */
  readonly settings: string
  /** The SQLite file, base64. */
  readonly database: string
}

/** What the file is, in its first line; the rest is sealed. */
const FORMAT = 'os-ssh service 1'

/** What there is of a service that does not run. @throws Error of the driver */
export async function bundleOf(place: Place, mark: Mark, keys: ServiceKeys): Promise<Bundle> {
  const database = new Sqlite(databaseOf(place), {readonly: true})
  try {
    const bytes = database.serialize()
    return {
      ...{mark, keys, database: bytes.toString('base64')},
      settings: (await readIfThere(settingsOf(place))) ?? '',
    }
  } finally {
    database.close()
  }
}

/** The text of a file that only this passphrase opens. */
export async function sealBundle(bundle: Bundle, passphrase: string): Promise<string> {
  const salt = newSalt()
  const content = gzipSync(JSON.stringify(bundle))
  return [FORMAT, salt, seal(content, FORMAT, await keyOf(passphrase, salt)), ''].join('\n')
}

/** @throws OsSshError USAGE for a file that is none, or another passphrase */
export async function openBundle(text: string, passphrase: string): Promise<Bundle> {
  const [format, salt = '', sealed = ''] = text.split('\n')
  if (format !== FORMAT)
    throw new OsSshError('USAGE', 'this is no file of os-ssh service export, or one of a newer os-ssh')
  try {
    const content = unseal(sealed, FORMAT, await keyOf(passphrase, salt))
    const bundle = JSON.parse(gunzipSync(content).toString())
    return {...bundle, keys: parseKeys(JSON.stringify(bundle.keys))}
  } catch (cause) {
    throw new OsSshError('USAGE', 'the passphrase does not open this file, or it is damaged', {
      hint: 'try again; OS_SSH_PASSPHRASE is used when it is set',
      cause,
    })
  }
}

/**
 * Puts the rows of a service where they go on; from its first round on, its gates are run from here. May be killed anywhere, and done again.
 *
 * @throws Error of the file system or the driver
 */
export async function placeDatabase(bundle: Bundle, file: string): Promise<void> {
  const temp = `${file}.new`
  await writeAtomic(temp, Buffer.from(bundle.database, 'base64'), 0o600)
  const db = await openStore(temp)
  try {
    await takeOver(db, randomUUID())
  } finally {
    await db.destroy()
  }
  // Only now is it one that may be started.
  await rename(temp, file)
}

/** Puts a service where `service start --config` finds all of it. @returns that file @throws Error of the file system or the driver */
export async function placeForStart(bundle: Bundle, directory: string): Promise<string> {
  const {keys, settings} = bundle
  await makeDirectory(join(directory, 'ca'))
  for (const name of ['user_ca', 'host_ca'] as const) await put(join(directory, 'ca', name), keys[name])
  await put(join(directory, 'management_key'), keys.management)
  const config = join(directory, 'service.yaml')
  const own = 'state: .\nmanagement_key: management_key\n'
  await writeAtomic(config, `${own}${settings || 'gates:\n  automatic: true\n'}`, 0o600)
  await placeDatabase(bundle, join(directory, 'service.db'))
  return config
}
