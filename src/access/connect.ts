import type {Conversation} from '../conversation.ts'
import {isUuid} from '../names/uuid.ts'
import {connectWords} from '../ssh/command-line.ts'
import {runtimeDirectory} from '../system/directories.ts'
import {readIfThere} from '../system/files.ts'
import {replaceProcess} from '../system/process.ts'
import {freshPath, pathFiles} from './path-files.ts'
import type {ConnectOptions, Target} from './prepare.ts'

/**
 * Gets the path to a VM and says how to start ssh for it. A VM named by its UUID whose path is fresh costs no call to
 * anybody. @returns the arguments of `ssh`. @throws OsSshError
 */
export async function connect(options: ConnectOptions): Promise<string[]> {
  const {sshOptions = [], command = []} = options
  const {file, id} = (await remembered(options)) ?? (await (await import('./prepare.ts')).prepare(options))
  return ['-F', file, ...sshOptions, '--', id, ...command]
}

/** `os-ssh connect` with its words: this process becomes ssh. @throws OsSshError */
export async function connectMain(words: readonly string[], options: Conversation): Promise<never> {
  const {own, ...parsed} = connectWords(words, ['os-cloud', 'keychain'])
  const cloud = own['os-cloud'] ?? process.env['OS_CLOUD']
  return replaceProcess('ssh', await connect({...options, ...parsed, cloud, keychain: own['keychain']}))
}

async function remembered({vm, cloud, env}: ConnectOptions): Promise<Target | undefined> {
  if (!cloud || !isUuid(vm)) return undefined
  const directory = await runtimeDirectory(cloud, env)
  const file = pathFiles(directory, vm).connect
  if ((await readIfThere(file)) === undefined || !(await freshPath(directory, vm))) return undefined
  return {file, id: vm}
}
