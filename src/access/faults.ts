import {type ErrorCode, OsSshError} from '../errors.ts'
import {OpenStackError, type OpenStackFault} from '../openstack/errors.ts'

const codes: Readonly<Record<OpenStackFault, ErrorCode>> = {
  config: 'CLOUDS_YAML',
  unauthorized: 'NOT_LOGGED_IN',
  forbidden: 'DENIED',
  'not-found': 'NOT_FOUND',
  conflict: 'CLOUD_REFUSED',
  quota: 'QUOTA',
  'bad-request': 'CLOUD_REFUSED',
  server: 'CLOUD_DOWN',
  unreachable: 'CLOUD_DOWN',
}

/** The cloud's fault as one of ours; anything else comes back as it was. */
export function translate(error: unknown): unknown {
  if (!(error instanceof OpenStackError)) return error
  // Nothing is wrong with a file that just does not hold the cloud: then another hint helps.
  const code = /^(no cloud is configured|there is no cloud)/.test(error.message)
    ? 'NO_CLOUD'
    : codes[error.fault]
  return new OsSshError(code, error.message, {cause: error})
}

/** Runs `work` with the cloud's faults translated. @throws OsSshError, or whatever `work` threw */
export async function translated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw translate(error)
  }
}
