import {createHash} from 'node:crypto'
import {existsSync, readFileSync} from 'node:fs'
import {homedir, tmpdir} from 'node:os'
import {dirname, extname, join} from 'node:path'
import {fileURLToPath} from 'node:url'

import {OsSshError} from '../errors.ts'
import {privateDirectory} from './files.ts'

/** Root of the installed package, from the sources as well as from what is built. */
export function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(directory, 'package.json'))) directory = dirname(directory)
  return directory
}

/** Where Node keeps what it has compiled of ours; bin/run.js agrees. Not in the shared temporary directory: another user's code could lie there. */
export const compileCache = (env: NodeJS.ProcessEnv = process.env): string =>
  join(env['XDG_CACHE_HOME'] || join(home(env), '.cache'), 'os-ssh', 'compile')

/** Version of the installed package. */
export function packageVersion(): string {
  return JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')).version
}

/**
 * The file of a program of ours that runs as a process of its own. Not beside who starts it: in a bundle that is anywhere.
 *
 * @param name its module below src/, such as `keychain/helper`; scripts/bundle.ts lists them
 */
export function programFile(name: string): string {
  const [folder, extension] = extname(import.meta.url) === '.ts' ? ['src', '.ts'] : ['dist/src', '.js']
  return join(packageRoot(), folder, name + extension)
}

/** A name of the user's, such as a cloud's, as the name of a file: itself when that is harmless, else a hash of it. */
export function fileName(name: string): string {
  if (/^[A-Za-z0-9_][\w.-]{0,31}$/.test(name)) return name
  return `x-${createHash('sha256').update(name).digest('hex').slice(0, 16)}`
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
  return privateDirectory(join(root, fileName(cloud)))
}

/** Longest socket path that every system takes (sun_path of macOS is 104 bytes, with its final zero). */
const MAX_SOCKET_PATH = 103

/** @param whose whose socket it is, for people @returns the path @throws OsSshError CONFIG for one that is too long */
export function socketPath(path: string, whose: string): string {
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH) return path
  throw new OsSshError('CONFIG', `the path of the ${whose}'s socket is too long: ${path}`, {
    hint: 'set XDG_RUNTIME_DIR to a shorter directory',
  })
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
