import Sqlite from 'better-sqlite3'

import {diskFault} from '../service/store/disk.ts'

/** The locks of this process: what nobody refers to is closed by the garbage collector, and the lock with it. */
const held = new Set<Sqlite.Database>()

/**
 * Takes a lock that the kernel lets go with the process, however it ends: SQLite's own (fcntl) on a database that has nothing in it. So
 * there is no file that says who runs, and none that could be wrong.
 *
 * @returns how to give it back; undefined while another process has it
 * @throws OsSshError LOCAL_FILE when the file cannot be made or written
 */
export function takeLock(file: string): (() => void) | undefined {
  const database = open(file)
  try {
    database.pragma('locking_mode = EXCLUSIVE')
    database.exec('BEGIN EXCLUSIVE')
    held.add(database)
    return () => {
      held.delete(database)
      database.close()
    }
  } catch (error) {
    database.close()
    if ((error as {code?: string}).code?.startsWith('SQLITE_BUSY')) return undefined
    throw fault(error, file)
  }
}

function open(file: string): Sqlite.Database {
  try {
    return new Sqlite(file, {timeout: 0})
  } catch (error) {
    throw fault(error, file)
  }
}

const fault = (error: unknown, file: string) => diskFault(error, `${file} cannot be locked`) ?? error
