import {join} from 'node:path'

import type {Conversation} from '../conversation.ts'
import {connectWords} from '../ssh/words.ts'
import {runtimeDirectory} from '../system/directories.ts'
import {readIfThere} from '../system/files.ts'
import {replaceProcess} from '../system/process.ts'
import {freshPath} from './path-file.ts'
import type {SessionOptions} from './session.ts'
import {isUuid, slug} from './words.ts'

export interface ConnectOptions extends SessionOptions {
  readonly vm: string
  /** Given to ssh as they are, before the host. */
  readonly sshOptions?: readonly string[]
  readonly command?: readonly string[]
}

/** A VM's own ssh_config, and the name it has there. */
export interface Target {
  readonly file: string
  readonly id: string
}

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
  const directory = await runtimeDirectory(slug(cloud), env)
  const file = join(directory, `${vm}.ssh`)
  if ((await readIfThere(file)) === undefined || !(await freshPath(directory, vm))) return undefined
  return {file, id: vm}
}
