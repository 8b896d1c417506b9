import {randomBytes} from 'node:crypto'
import {constants} from 'node:fs'
import {link, lstat, mkdir, open, readFile, readlink, rename, stat, unlink} from 'node:fs/promises'
import {homedir, tmpdir} from 'node:os'
import {dirname, join, resolve} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

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
export async function writeAtomic(file: string, text: string, mode?: number): Promise<void> {
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

/** $XDG_RUNTIME_DIR/os-ssh, else os-ssh-UID in the temporary directory: gone after a reboot. bin/proxy agrees. */
export function runtimeRoot(env: NodeJS.ProcessEnv = process.env): string {
  if (env['XDG_RUNTIME_DIR']) return join(env['XDG_RUNTIME_DIR'], 'os-ssh')
  if (process.platform === 'win32') return join(env['LOCALAPPDATA'] ?? tmpdir(), 'os-ssh', 'run')
  return `/tmp/os-ssh-${process.getuid?.() ?? 0}`
}

/** Runtime directory of one cloud, made and checked. @throws OsSshError DENIED */
export async function runtimeDirectory(cloud: string, env?: NodeJS.ProcessEnv): Promise<string> {
  const root = await privateDirectory(runtimeRoot(env))
  await privateDirectory(join(root, '.c'))
  return privateDirectory(join(root, cloud))
}

/** $HOME, as shells and editors understand it; without one, that of the password file. */
export function home(env: NodeJS.ProcessEnv = process.env): string {
  return (process.platform !== 'win32' && env['HOME']) || homedir()
}

/** ~/.ssh of the user. */
export function sshDirectory(env?: NodeJS.ProcessEnv): string {
  return join(home(env), '.ssh')
}

/** Where what must survive a reboot lies: $XDG_STATE_HOME/os-ssh. */
export function stateDirectory(env: NodeJS.ProcessEnv = process.env): string {
  return join(env['XDG_STATE_HOME'] || join(home(env), '.local', 'state'), 'os-ssh')
}

/**
 * Runs `work` while no other process runs work under the same lock file; waits for up to `patience` ms.
 * A lock whose process is gone is taken over. @throws OsSshError BUSY
 */
export async function withLock<T>(file: string, work: () => Promise<T>, patience = 90_000): Promise<T> {
  const deadline = Date.now() + patience
  while (!(await take(file))) {
    if (Date.now() > deadline) throw new OsSshError('BUSY', `another os-ssh holds ${file}`)
    await sleep(20 + Math.random() * 30)
  }
  try {
    return await work()
  } finally {
    await unlink(file).catch(() => {})
  }
}

async function take(file: string): Promise<boolean> {
  // Complete before it gets its name: nobody ever reads a lock without an owner in it.
  const own = `${file}.${process.pid}-${randomBytes(4).toString('hex')}`
  const handle = await open(own, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600)
  await handle.writeFile(String(process.pid))
  await handle.close()
  try {
    await link(own, file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    await breakStale(file, own)
    return false
  } finally {
    await unlink(own).catch(() => {})
  }
}

async function breakStale(file: string, own: string): Promise<void> {
  const owner = await readIfThere(file)
  if (owner === undefined || alive(Number(owner))) return
  const aside = `${own}.stale`
  await rename(file, aside).catch(() => {})
  // Somebody may have been faster, and this the lock of a living one: then give it back.
  const moved = await readIfThere(aside)
  if (moved !== undefined && moved !== owner) await link(aside, file).catch(() => {})
  await unlink(aside).catch(() => {})
}

function alive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid < 1) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
