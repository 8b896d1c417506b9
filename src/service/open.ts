import {chmod, mkdir, readFile} from 'node:fs/promises'
import {join} from 'node:path'

import {type Logger, pino} from 'pino'

import {OsSshError} from '../errors.ts'
import {loadCloud, OpenStackError, openStack} from '../openstack/index.ts'
import {openCa} from './ca/ca.ts'
import {NUMBERS} from './config/settings.ts'
import {byOf, createService, type RunningService, type ServiceConfig} from './index.ts'

export interface OpenServiceOptions extends Omit<ServiceConfig, 'cloud' | 'database' | 'ca' | 'log' | 'by'> {
  /** Cloud of clouds.yaml that is the service's account; OS_* variables when absent. */
  readonly osCloud?: string
  /** Directory of the CA keys and, by default, of the database. Made 0700. */
  readonly state: string
  /** SQLite file or `postgres://…`; by default `service.db` in the state directory. */
  readonly database?: string
  /** File of the OpenSSH private key that the gates accept for management. */
  readonly managementKey: string
  readonly log?: Logger
}

/**
 * Logs the service's account in and starts the service, with its keys from files: an account that cannot log in is told now and not
 * to the first user.
 *
 * @throws OsSshError, OpenStackError
 */
export async function openService(options: OpenServiceOptions): Promise<RunningService> {
  const {osCloud, state, database, ...config} = options
  const log = options.log ?? pino({redact: ['req.headers', '*.managementKey']})
  const cloud = openStack(await loadCloud(osCloud === undefined ? {} : {cloud: osCloud}))
  const token = await cloud.identity.token()
  if (token.project === undefined)
    throw new OsSshError('CONFIG', 'the account of the service must be scoped to the project of its gates')
  try {
    const managementKey = await readKey(config.managementKey)
    await mkdir(state, {recursive: true, mode: 0o700})
    await chmod(state, 0o700)
    const ca = await openCa(join(state, 'ca'), {certLife: config.certLife ?? NUMBERS.cert_life.usual, log})
    return await createService({
      ...config,
      by: byOf(token),
      ...{cloud, managementKey, ca, log, database: database ?? join(state, 'service.db')},
    })
  } catch (error) {
    await cloud.close()
    if (error instanceof OpenStackError || error instanceof OsSshError) throw error
    const {code, message} = error as NodeJS.ErrnoException
    if (code === 'EADDRINUSE' || code === 'EACCES' || code === 'EADDRNOTAVAIL')
      throw new OsSshError('CONFIG', `the service cannot start: ${message}`, {cause: error})
    throw error
  }
}

async function readKey(file: string): Promise<string> {
  return readFile(file, 'utf8').catch(cause => {
    throw new OsSshError('CONFIG', `the management key cannot be read: ${(cause as Error).message}`, {cause})
  })
}
