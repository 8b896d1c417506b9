import {type ErrorCode, OsSshError} from '../errors.ts'
import type {CloudConfig} from '../openstack/config.ts'
import {OpenStackError, type OpenStackFault} from '../openstack/errors.ts'
import type {Token} from '../openstack/types.ts'

const codes: Readonly<Record<OpenStackFault, ErrorCode>> = {
  config: 'CLOUDS_YAML',
  'no-cloud': 'NO_CLOUD',
  'no-secret': 'NOT_LOGGED_IN',
  refused: 'NOT_LOGGED_IN',
  unauthorized: 'NOT_LOGGED_IN',
  forbidden: 'DENIED',
  'not-found': 'NOT_FOUND',
  conflict: 'CLOUD_REFUSED',
  quota: 'QUOTA',
  exhausted: 'CLOUD_REFUSED',
  'bad-request': 'CLOUD_REFUSED',
  server: 'CLOUD_DOWN',
  unreachable: 'CLOUD_DOWN',
}

/** The cloud's fault, or this machine's, as one of ours; anything else comes back as it was. */
export function translate(error: unknown): unknown {
  if (!(error instanceof OpenStackError)) return localFault(error)
  const hint = error.fault === 'refused' ? {hint: 'are user, password and project right?'} : {}
  return new OsSshError(codes[error.fault], error.message, {cause: error, ...hint})
}

/** What the machine refuses when a file is to be kept, in words. errno(3) */
const refusals: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space is left on the device',
  EDQUOT: 'the disk quota is used up',
  EMFILE: 'too many open files',
  ENFILE: 'too many open files on this machine',
  EIO: 'the disk fails',
  ELOOP: 'too many symbolic links',
  ENAMETOOLONG: 'the name is too long',
  ENOTDIR: 'a part of the path is not a directory',
  EISDIR: 'it is a directory',
  EEXIST: 'something else is there',
  ENOENT: 'a directory of its path is not there',
}

function localFault(error: unknown): unknown {
  const {code = '', syscall, path} = (error ?? {}) as NodeJS.ErrnoException
  const reason = refusals[code]
  if (reason === undefined || syscall === undefined) return error
  if (syscall === 'uv_cwd')
    return new OsSshError('LOCAL_FILE', 'the directory that you are in is not there any more', {
      hint: 'cd somewhere else',
      cause: error,
    })
  // Of a socket it is the network's, and of a program the caller says more.
  if (path === undefined || syscall.startsWith('connect') || syscall.startsWith('spawn')) return error
  return new OsSshError('LOCAL_FILE', `${path}: ${reason} (${syscall})`, {cause: error})
}

/** Why there is no token, as it looks to somebody who has logged in some time, or has not. */
export function loginFault(
  error: unknown,
  {name, source}: CloudConfig,
  kept: {readonly token: Token | undefined} | {readonly fault: unknown},
): unknown {
  if (!(error instanceof OpenStackError)) return translate(error)
  if (error.fault === 'refused')
    return new OsSshError('NOT_LOGGED_IN', `${name} does not take this user and password: ${error.message}`, {
      hint: `are user, password and project of ${name} right in ${source ?? 'the OS_* variables'}?`,
      cause: error,
    })
  if (error.fault !== 'no-secret') return translate(error)
  // What is kept may be good, and cannot be read here.
  if ('fault' in kept) return kept.fault
  const sentence = kept.token ? `your session for ${name} has ended` : `you are not logged in to ${name}`
  return new OsSshError('NOT_LOGGED_IN', sentence, {cause: error})
}

/** Runs `work` with the cloud's faults translated. @throws OsSshError, or whatever `work` threw */
export async function translated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw translate(error)
  }
}
