import {OsSshError} from '../errors.ts'

/** ssh's own single-letter options that take a value (ssh(1)). */
const VALUED = 'BbcDEeFIiJLlmOoPpQRSWw'
/** What os-ssh itself decides, or what would not be a login. */
const REFUSED: Readonly<Record<string, string>> = {
  F: 'os-ssh brings the configuration',
  J: 'the way to the VM is through its gate',
  S: 'os-ssh brings the control socket',
  W: 'the way to the VM is through its gate',
}

export interface ConnectWords {
  readonly vm: string
  readonly sshOptions: readonly string[]
  readonly command: readonly string[]
  /** `--os-cloud NAME` and the like, which are ours. */
  readonly own: Readonly<Record<string, string>>
}

/**
 * Takes `VM [ssh options…] [-- command]` apart as ssh itself does: options before or after the VM, a command after
 * it or after `--`. `own` names the long options that are not ssh's. @throws OsSshError USAGE
 */
export function connectWords(words: readonly string[], own: readonly string[]): ConnectWords {
  const found: Record<string, string> = {}
  const sshOptions: string[] = []
  let vm: string | undefined
  const rest = [...words]
  let command: string[] = []
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === '--' || (vm !== undefined && !word.startsWith('-'))) {
      if (vm === undefined) vm = rest.shift()
      else if (word !== '--') rest.unshift(word)
      command = rest[0] === '--' ? rest.slice(1) : rest
      break
    }
    if (word.startsWith('--')) {
      const [name = '', value] = split(word.slice(2))
      if (!own.includes(name)) throw new OsSshError('USAGE', `there is no option --${name}`)
      found[name] = value ?? taken(rest.shift(), word)
    } else if (word.startsWith('-') && word !== '-') {
      sshOptions.push(...sshOption(word, rest))
    } else vm = word
  }
  if (!vm) throw new OsSshError('USAGE', 'connect needs a VM: its UUID, a unique start of it, or its name')
  return {...userAt(vm, sshOptions), command, own: found}
}

/** `user@vm`, as ssh takes it: the last `@` counts, and -l, wherever it stands, wins. */
function userAt(word: string, sshOptions: readonly string[]) {
  const at = word.lastIndexOf('@')
  if (at < 0) return {vm: word, sshOptions}
  const [user, vm] = [word.slice(0, at), word.slice(at + 1)]
  if (user === '' || vm === '') throw new OsSshError('USAGE', `${JSON.stringify(word)} is not USER@VM`)
  return {vm, sshOptions: [...sshOptions, '-l', user]}
}

function split(text: string): [string, string?] {
  const at = text.indexOf('=')
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)]
}

/** `-v`, `-tt`, `-lroot`, or `-l` and the word after it. */
function sshOption(word: string, rest: string[]): string[] {
  for (const [index, letter] of [...word].entries()) {
    if (index === 0) continue
    if (REFUSED[letter]) throw new OsSshError('USAGE', `connect does not take -${letter}: ${REFUSED[letter]}`)
    if (VALUED.includes(letter)) return index === word.length - 1 ? [word, taken(rest.shift(), word)] : [word]
  }
  return [word]
}

function taken(value: string | undefined, option: string): string {
  if (value === undefined) throw new OsSshError('USAGE', `${option} needs a value`)
  return value
}
