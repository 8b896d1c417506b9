import {OsSshError} from '../../errors.ts'

/** What SQLite and the file system say of a disk that keeps nothing: full, read-only, not there, broken. */
const REFUSALS = /^SQLITE_(FULL|READONLY|CANTOPEN|IOERR)|^E(NOSPC|ROFS|ACCES|DQUOT|IO)$/

/** @returns LOCAL_FILE when it is the disk that has refused; undefined for anything else */
export function diskFault(
  error: unknown,
  what = 'the service cannot keep its state',
): OsSshError | undefined {
  const {code, message} = error as NodeJS.ErrnoException
  if (!REFUSALS.test(String(code))) return undefined
  return new OsSshError('LOCAL_FILE', `${what}: ${message}`, {
    hint: 'it must be writable and not full',
    cause: error,
  })
}
