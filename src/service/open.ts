import {OsSshError} from '../errors.ts'
import {loadCloud, OpenStackError, openStack} from '../openstack/index.ts'
import {createService, type RunningService, type ServiceConfig} from './index.ts'

export interface OpenServiceOptions extends Omit<ServiceConfig, 'cloud'> {
  /** Cloud of clouds.yaml that is the service's account; OS_* variables when absent. */
  readonly osCloud?: string
}

/**
 * Logs the service's account in and starts the service: an account that cannot log in is told now and not to the
 * first user.
 *
 * @throws OsSshError, OpenStackError
 */
export async function openService({osCloud, ...config}: OpenServiceOptions): Promise<RunningService> {
  const cloud = openStack(await loadCloud(osCloud === undefined ? {} : {cloud: osCloud}))
  const token = await cloud.identity.token()
  if (token.project === undefined)
    throw new OsSshError('CONFIG', 'the account of the service must be scoped to the project of its gates')
  try {
    return await createService({...config, cloud})
  } catch (error) {
    await cloud.close()
    if (error instanceof OpenStackError || error instanceof OsSshError) throw error
    const {code, message} = error as NodeJS.ErrnoException
    if (code === 'EADDRINUSE' || code === 'EACCES' || code === 'EADDRNOTAVAIL')
      throw new OsSshError('CONFIG', `the service cannot start: ${message}`, {cause: error})
    throw error
  }
}
