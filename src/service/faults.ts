import {OsSshError} from '../errors.ts'
import {OpenStackError} from '../openstack/index.ts'

/**
 * What a failed call of the cloud means to the user who waits for a path.
 *
 * @param what the sentence's beginning, e.g. `the gate's port could not be made`
 */
export function cloudFault(error: unknown, what: string): OsSshError {
  if (error instanceof OsSshError) return error
  if (!(error instanceof OpenStackError))
    return new OsSshError('BUG', `${what}: ${String(error)}`, {cause: error})
  const message = `${what}: ${error.message}`
  if (error.fault === 'quota') return new OsSshError('QUOTA', message, {cause: error})
  if (error.fault === 'unreachable' || error.fault === 'server')
    return new OsSshError('CLOUD_DOWN', message, {cause: error})
  return new OsSshError('CLOUD_REFUSED', message, {cause: error})
}

/** The same for a call made with the user's own token, where 404 and 401 are about what they asked. */
export function userFault(error: unknown, what: string): OsSshError {
  if (error instanceof OpenStackError) {
    if (error.fault === 'not-found') return new OsSshError('NOT_FOUND', what, {cause: error})
    if (error.fault === 'unauthorized')
      return new OsSshError('NOT_LOGGED_IN', 'the token is not valid any more', {cause: error})
    if (error.fault === 'forbidden')
      return new OsSshError('DENIED', `the cloud says: ${error.message}`, {cause: error})
  }
  return cloudFault(error, what)
}

/** For `catch`: what is not there any more is undefined; whatever else is thrown stays thrown. */
export function gone(error: unknown): undefined {
  if (error instanceof OpenStackError && error.fault === 'not-found') return undefined
  throw error
}
