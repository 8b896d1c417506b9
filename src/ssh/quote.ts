import {OsSshError} from '../errors.ts'

/**
 * A path as the value of an ssh_config keyword that expands `%` and `${…}`: quoted, so that it may hold spaces.
 * @throws OsSshError CONFIG for characters that some version of OpenSSH reads differently
 */
export function configPath(path: string): string {
  const text = process.platform === 'win32' ? path.replaceAll('\\', '/') : path
  if (/["\\\p{Cc}]/u.test(text) || text.includes('${') || text.startsWith('$')) {
    throw new OsSshError('CONFIG', `ssh_config cannot hold the path ${JSON.stringify(path)}`)
  }
  return `"${text.replaceAll('%', '%%')}"`
}

/**
 * Words as a ProxyCommand: OpenSSH expands `%` in it and gives it to the user's shell (on Windows to CreateProcess).
 * @throws OsSshError CONFIG for control characters
 */
export function proxyCommand(words: readonly string[]): string {
  return words
    .map((word, index) => shellWord(word, index === 0))
    .join(' ')
    .replaceAll('%', '%%')
}

function shellWord(word: string, program: boolean): string {
  if (/\p{Cc}/u.test(word)) throw new OsSshError('CONFIG', `ssh_config cannot hold ${JSON.stringify(word)}`)
  if (!program && /^[\w@.,:/+-]+$/.test(word)) return word
  return process.platform === 'win32'
    ? `"${word.replaceAll('"', '')}"`
    : `"${word.replace(/["\\$`]/g, '\\$&')}"`
}
