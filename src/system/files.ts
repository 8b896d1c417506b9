import {randomBytes} from 'node:crypto'
import {lstat, mkdir, open, readFile, readlink, rename, stat, unlink} from 'node:fs/promises'
import {dirname, join, resolve} from 'node:path'

import {OsSshError} from '../errors.ts'

/** As many as Linux follows (MAXSYMLINKS). */
const MAX_LINKS = 40

/** Text of a file, undefined when there is none. */
export async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Makes a directory of the user's alone, and those above it. */
export async function makeDirectory(path: string): Promise<void> {
  const make = () => mkdir(path, {recursive: true, mode: 0o700})
  await make().catch(async error => {
    // Node's recursive mkdir says ENOENT of a read-only file system, too: the plain one has the reason.
    if (error.code !== 'ENOENT' || error.path === undefined) throw error
    await mkdir(error.path, {mode: 0o700})
    await make()
  })
}

/**
 * Replaces a file in one step: temp beside it, fsync, rename. A symlink is followed, so that dotfile managers keep
 * theirs; an existing file keeps its mode unless `mode` is given. New files are 0600.
 */
export async function writeAtomic(file: string, text: string | Buffer, mode?: number): Promise<void> {
  const target = await targetOf(file)
  const old = await stat(target).catch(() => undefined)
  const temp = join(dirname(target), `.os-ssh-${randomBytes(6).toString('hex')}`)
  const handle = await open(temp, 'wx', 0o600)
  try {
    await handle.writeFile(text)
    await handle.chmod(mode ?? (old ? old.mode & 0o777 : 0o600))
    await handle.sync()
    await handle.close()
    await rename(temp, target)
  } catch (error) {
    await handle.close().catch(() => {})
    await unlink(temp).catch(() => {})
    // What a handle's write could not do does not say where.
    throw Object.assign(error as NodeJS.ErrnoException, {path: file})
  }
}

/**
 * Makes a directory that only this user can enter, or checks that it is one.
 * @throws OsSshError DENIED when it is a symlink, somebody else's or open to others: in /tmp anybody may be first
 */
export async function privateDirectory(path: string): Promise<string> {
  await mkdir(path, {mode: 0o700}).catch(error => {
    if (error.code !== 'EEXIST') throw error
  })
  const found = await lstat(path)
  const mine = found.isDirectory() && (process.getuid === undefined || found.uid === process.getuid())
  if (!mine || (process.platform !== 'win32' && (found.mode & 0o077) !== 0)) {
    throw new OsSshError('DENIED', `${path} is not a directory of yours alone; os-ssh keeps nothing there`, {
      hint: `look who made it, remove it, or set XDG_RUNTIME_DIR`,
    })
  }
  return path
}

/** Where a file really lies, or will lie: what a dangling symlink points to is made there. */
async function targetOf(file: string): Promise<string> {
  let target = file
  for (let n = 0; n < MAX_LINKS; n++) {
    const link = await readlink(target).catch(() => undefined)
    if (link === undefined) return target
    target = resolve(dirname(target), link)
  }
  return file
}
