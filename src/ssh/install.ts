import {chmod, copyFile, unlink} from 'node:fs/promises'
import {userInfo} from 'node:os'
import {join} from 'node:path'

import {OsSshError} from '../errors.ts'
import {home, sshDirectory} from '../system/directories.ts'
import {makeDirectory, readIfThere, writeAtomic} from '../system/files.ts'
import {withLock} from '../system/lock.ts'
import {run} from '../system/process.ts'
import {configPath} from './quote.ts'

/** What a change to ~/.ssh would make of a file. `after` undefined: the file goes. */
export interface Change {
  readonly file: string
  readonly before: string
  readonly after: string | undefined
}

const HEAD = '# Written by os-ssh config --write; changes are lost. os-ssh config --remove takes it away.\n'
const begin = (cloud: string) => `# >>> os-ssh ${cloud}`
const end = (cloud: string) => `# <<< os-ssh ${cloud}`

/** Our own file, and the user's that includes it. */
export const ownConfig = () => join(sshDirectory(), 'os-ssh', 'config')
const userConfig = () => join(sshDirectory(), 'config')

/** The line that the user's file gets. `~` is ssh's idea of home, from the password file; $HOME may differ. */
function includeLine(): string {
  if (userInfo().homedir === home()) return 'Include ~/.ssh/os-ssh/config'
  // Whether Include expands `%` depends on the version of OpenSSH; that `?` stands for any character does not.
  return `Include ${configPath(ownConfig()).replaceAll('%%', '?')}`
}

/** UUIDs of the VMs that a cloud's section of our file holds now. @throws OsSshError CONFIG when its markers are damaged */
export async function writtenHosts(cloud: string): Promise<ReadonlySet<string>> {
  const section = parse((await readIfThere(ownConfig())) ?? '').get(cloud) ?? ''
  return new Set([...section.matchAll(/^Host ([0-9a-f-]{36})(?= |$)/gm)].map(([, id = '']) => id))
}

/**
 * What is to be changed so that ~/.ssh/os-ssh/config holds `section` for a cloud (undefined: holds nothing for it)
 * and ~/.ssh/config includes it at its very top; other clouds' sections stay.
 * @throws OsSshError CONFIG when our file's markers are damaged
 */
export async function plan(cloud: string, section: string | undefined): Promise<readonly Change[]> {
  const [own, user] = [(await readIfThere(ownConfig())) ?? '', (await readIfThere(userConfig())) ?? '']
  const sections = parse(own)
  if (section === undefined) sections.delete(cloud)
  else sections.set(cloud, section)
  const parts = [...sections].sort(([one], [other]) => (one < other ? -1 : 1))
  const text = parts.map(([name, body]) => `${begin(name)}\n${body.trimEnd()}\n${end(name)}\n`).join('\n')
  const changes: Change[] = [
    {file: ownConfig(), before: own, after: parts.length > 0 ? HEAD + text : undefined},
    {file: userConfig(), before: user, after: parts.length > 0 ? include(user) : exclude(user)},
  ]
  return changes.filter(({before, after}) => before !== (after ?? ''))
}

/**
 * Makes the changes, after OpenSSH itself has read them without complaint. The user's file keeps its mode, its line
 * ends and its symlink, and leaves one `.bak`. @throws OsSshError CONFIG when ssh refuses the result
 */
export async function commit(changes: readonly Change[]): Promise<void> {
  const directory = join(sshDirectory(), 'os-ssh')
  await makeDirectory(directory)
  await withLock(join(directory, 'config.lock'), async () => {
    for (const {file, before} of changes) {
      if (((await readIfThere(file)) ?? '') !== before) {
        throw new OsSshError('BUSY', `${file} was changed by somebody else at the same moment`)
      }
    }
    for (const change of changes) {
      // As it is first: what ssh says of it then has the line numbers that the user sees.
      if (change.file === userConfig() && change.before !== '') await check({...change, after: change.before})
      await check(change)
    }
    for (const {file, before, after} of changes) {
      if (after === undefined) {
        await unlink(file)
        continue
      }
      if (file === userConfig() && before !== '') {
        await copyFile(file, `${file}.bak`)
        await chmod(`${file}.bak`, 0o600)
      }
      await writeAtomic(file, after).catch(cause => {
        throw new OsSshError('CONFIG', `${file} cannot be written: ${cause.message}`, {
          hint: `put this line at its very top yourself: ${includeLine()}`,
          cause,
        })
      })
    }
  })
}

async function check({file, after}: Change): Promise<void> {
  if (after === undefined) return
  const trial = `${file}.os-ssh-trial`
  await writeAtomic(trial, after, 0o600)
  try {
    const {status, stderr} = await run('ssh', ['-G', '-F', trial, 'os-ssh.invalid'])
    if (status === 0) return
    throw new OsSshError(
      'CONFIG',
      `ssh does not accept ${file}:\n${stderr.trim().replaceAll('\r', '').replaceAll(trial, file)}`,
      {
        hint: 'nothing was changed; mend the file and try again',
      },
    )
  } finally {
    await unlink(trial).catch(() => {})
  }
}

function include(user: string): string {
  const newline = /\r\n/.test(user) ? '\r\n' : '\n'
  const first = user.split(/\r?\n/, 1)[0]
  return first === includeLine() ? user : `${includeLine()}${newline}${exclude(user)}`
}

function exclude(user: string): string {
  return user.replace(new RegExp(`^${literal(includeLine())}(\\r?\\n|$)`, 'gm'), '')
}

const literal = (text: string) => text.replace(/[.*+?^${}()|[\]\\/~]/g, '\\$&')

function parse(own: string): Map<string, string> {
  const sections = new Map<string, string>()
  let open: {cloud: string; lines: string[]} | undefined
  for (const line of own.split(/\r?\n/)) {
    const [, mark, cloud = ''] = /^# (>>>|<<<) os-ssh (.+)$/.exec(line) ?? []
    if (mark === '>>>' ? open || sections.has(cloud) : mark === '<<<' && open?.cloud !== cloud)
      throw damaged()
    if (mark === '>>>') open = {cloud, lines: []}
    else if (mark === '<<<' && open) {
      sections.set(cloud, open.lines.join('\n'))
      open = undefined
    } else if (open) open.lines.push(line)
    else if (line !== '' && `${line}\n` !== HEAD) throw damaged()
  }
  if (open) throw damaged()
  return sections
}

function damaged(): OsSshError {
  return new OsSshError('CONFIG', `${ownConfig()} was changed by hand, or cut short; nothing was touched`, {
    hint: 'move what is yours out of it, remove the file and run os-ssh config --write again',
  })
}
