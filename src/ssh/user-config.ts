import {glob, unlink} from 'node:fs/promises'
import {isAbsolute, join} from 'node:path'

import {home, sshDirectory} from '../system/directories.ts'
import {readIfThere, writeAtomic} from '../system/files.ts'
import {run} from '../system/process.ts'
import {ownConfig} from './install.ts'

/** A Host line of the user's own: what stands there was meant for another machine. */
export interface OwnHost {
  readonly file: string
  /** From 1. */
  readonly line: number
  readonly patterns: readonly string[]
}

/** As deep as ssh itself follows Include (READCONF_MAX_DEPTH of OpenSSH's readconf.h). */
const MAX_DEPTH = 16
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Host lines of ~/.ssh/config and what it includes; not those of os-ssh, which begin with a UUID. */
export async function ownHosts(): Promise<readonly OwnHost[]> {
  return read(join(sshDirectory(), 'config'), 0)
}

async function read(file: string, depth: number): Promise<OwnHost[]> {
  if (depth > MAX_DEPTH || file === ownConfig()) return []
  const text = (await readIfThere(file).catch(() => undefined)) ?? ''
  const found: OwnHost[] = []
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const [, keyword = '', rest = ''] = /^\s*(\w+)(?:\s*=\s*|\s+)(.*)$/.exec(line) ?? []
    const words = wordsOf(rest)
    if (/^host$/i.test(keyword) && !UUID.test(words[0] ?? ''))
      found.push({file, line: index + 1, patterns: words})
    if (/^include$/i.test(keyword))
      for (const one of await included(words)) found.push(...(await read(one, depth + 1)))
  }
  return found
}

/** ssh_config(5): arguments in double quotes may hold blanks; `#` begins a comment. */
function wordsOf(rest: string): string[] {
  const words = [...rest.matchAll(/"([^"]*)"|([^\s"]+)/g)].map(([, quoted, plain = '']) => quoted ?? plain)
  const comment = words.findIndex(word => word.startsWith('#'))
  return comment < 0 ? words : words.slice(0, comment)
}

async function included(words: readonly string[]): Promise<string[]> {
  const files: string[] = []
  for (const word of words) {
    const path = word.replace(/^~(?=\/)/, home())
    for await (const file of glob(isAbsolute(path) ? path : join(sshDirectory(), path))) files.push(file)
  }
  return files
}

/** The user's own Host line that a name belongs to. `Host *` speaks of all, and of none in particular. */
export function ownerOf(name: string, hosts: readonly OwnHost[]): OwnHost | undefined {
  return hosts.find(({patterns}) => {
    const some = (list: readonly string[]) => list.some(pattern => matches(pattern, name))
    const denied = patterns.filter(one => one.startsWith('!')).map(one => one.slice(1))
    return some(patterns.filter(one => !one.startsWith('!') && !/^\*+$/.test(one))) && !some(denied)
  })
}

/**
 * PATTERNS of ssh_config(5); without case, as users type names. No regular expression: with some stars in the pattern, a VM's name
 * of 250 letters took minutes. Of all stars only the last one passed has to be tried longer.
 */
function matches(pattern: string, name: string): boolean {
  const [wanted, given] = [pattern.toLowerCase(), name.toLowerCase()]
  let [at, star, from] = [0, -1, 0]
  for (let n = 0; n < given.length; ) {
    if (wanted[at] === '*') {
      star = at++
      from = n
    } else if (wanted[at] === '?' || wanted[at] === given[n]) {
      at++
      n++
    } else if (star >= 0) {
      at = star + 1
      n = ++from
    } else return false
  }
  return /^\**$/.test(wanted.slice(at))
}

/** What a host of ours needs, as `ssh -G` spells it and as people write it. */
const KEYWORDS: Readonly<Record<string, string>> = {
  hostname: 'HostName',
  hostkeyalias: 'HostKeyAlias',
  user: 'User',
  userknownhostsfile: 'UserKnownHostsFile',
  stricthostkeychecking: 'StrictHostKeyChecking',
  proxycommand: 'ProxyCommand',
  proxyjump: 'ProxyJump',
  port: 'Port',
}

/**
 * What the user's ~/.ssh/config would override of our text when that is appended to it: of two values ssh takes the first.
 *
 * @param host one of the text's hosts
 * @param scratch a directory of the user's alone
 * @returns keywords, as ssh_config(5) writes them; none when ssh cannot say
 */
export async function overridden(text: string, host: string, scratch: string): Promise<string[]> {
  const user = await readIfThere(join(sshDirectory(), 'config')).catch(() => undefined)
  if (!user?.trim()) return []
  const meant = await settings(text, host, scratch)
  const got = await settings(`${user}\n${text}`, host, scratch)
  if (meant === undefined || got === undefined) return []
  const wanted = Object.keys(KEYWORDS).filter(name => new RegExp(`^\\s*${name}\\s`, 'im').test(text))
  return wanted.filter(name => meant.get(name) !== got.get(name)).map(name => KEYWORDS[name] ?? name)
}

async function settings(
  text: string,
  host: string,
  scratch: string,
): Promise<Map<string, string> | undefined> {
  const file = join(scratch, `trial-${process.pid}`)
  await writeAtomic(file, text, 0o600)
  const {status, stdout} = await run('ssh', ['-G', '-F', file, host])
    .catch(() => ({status: 1, stdout: ''}))
    .finally(() => unlink(file))
  if (status !== 0) return undefined
  const pairs = stdout.split('\n').map(line => line.split(/ (.*)/s))
  return new Map(pairs.map(([name = '', value = '']) => [name, value]))
}
