import {dirname, join} from 'node:path'

import {OsSshError} from '../errors.ts'
import {sshDirectory} from '../system/directories.ts'
import {makeDirectory, readIfThere, writeAtomic} from '../system/files.ts'
import {withLock} from '../system/lock.ts'
import {fingerprint} from './keys.ts'

/** os-ssh's own known_hosts: VMs stand in it under their UUIDs (HostKeyAlias). */
export const knownHostsFile = () => join(sshDirectory(), 'os-ssh', 'known_hosts')

/** Keys pinned for a VM, as `type base64`. */
export async function pinnedKeys(id: string, file = knownHostsFile()): Promise<readonly string[]> {
  return entries((await readIfThere(file)) ?? '').flatMap(entry => (entry.id === id ? entry.key : []))
}

/** The rebuild of a VM after which its keys were pinned, as Nova's request id; undefined when there was none. */
export async function pinnedRebuild(id: string, file = knownHostsFile()): Promise<string | undefined> {
  return entries((await readIfThere(file)) ?? '').find(entry => entry.id === id)?.rebuild
}

/**
 * Pins a VM's host keys, so that ssh never has to ask. The first keys win: OpenSSH would take a new type of key from
 * anybody once, so all of them must agree with what was pinned.
 *
 * @param rebuild Nova's request id of the VM's newest rebuild, kept beside the keys as their comment
 * @throws OsSshError HOST_KEY when a pinned key differs, or none of the keys is the one that was pinned
 */
export async function pinKeys(
  id: string,
  keys: readonly string[],
  {rebuild, file = knownHostsFile()}: {rebuild?: string | undefined; file?: string} = {},
): Promise<void> {
  if (keys.length === 0) return
  await changing(file, text => {
    const known = entries(text).flatMap(entry => (entry.id === id ? entry.key : []))
    const changed = known.find(key => keys.some(other => typeOf(other) === typeOf(key) && other !== key))
    if (changed ?? (known.length > 0 && !known.some(key => keys.includes(key)))) {
      throw changedKey(id, known, keys)
    }
    const missing = keys.filter(key => !known.includes(key))
    return text + lines(id, missing, rebuild)
  })
}

/** Pins these keys in the place of those that were pinned: the VM was rebuilt, and Nova says so. */
export async function replaceKeys(
  id: string,
  keys: readonly string[],
  rebuild: string,
  file = knownHostsFile(),
): Promise<void> {
  await changing(file, text => without(id, text) + lines(id, keys, rebuild))
}

const lines = (id: string, keys: readonly string[], rebuild?: string) =>
  keys.map(key => `${[id, key, ...(rebuild ? [rebuild] : [])].join(' ')}\n`).join('')

const without = (id: string, text: string) =>
  text
    .split('\n')
    .filter(line => !line.startsWith(`${id} `))
    .join('\n')

/** Changes the file as a whole, alone; its last line is ended first. */
async function changing(file: string, change: (text: string) => string): Promise<void> {
  await makeDirectory(dirname(file))
  await withLock(`${file}.lock`, async () => {
    const was = (await readIfThere(file)) ?? ''
    const text = was === '' || was.endsWith('\n') ? was : `${was}\n`
    const now = change(text)
    if (now !== text) await writeAtomic(file, now, 0o600)
  })
}

/** Forgets a VM's keys, for a machine that was rebuilt on purpose. */
export async function forgetKeys(id: string, file = knownHostsFile()): Promise<void> {
  if ((await readIfThere(file)) !== undefined) await changing(file, text => without(id, text))
}

function entries(text: string): {id: string; key: string; rebuild?: string}[] {
  return text.split('\n').flatMap(line => {
    const [id, type, base64, rebuild] = line.split(/\s+/)
    if (!id || !type || !base64 || line.startsWith('#')) return []
    return [{id, key: `${type} ${base64}`, ...(rebuild && {rebuild})}]
  })
}

const typeOf = (key: string) => key.slice(0, key.indexOf(' '))

function changedKey(id: string, known: readonly string[], keys: readonly string[]): OsSshError {
  const show = (list: readonly string[]) => list.map(key => `${typeOf(key)} ${fingerprint(key)}`).join(', ')
  return new OsSshError(
    'HOST_KEY',
    `the host key of VM ${id} is not the one that was pinned\npinned: ${show(known)}\nnow:    ${show(keys)}`,
    {hint: `if the machine was rebuilt on purpose, forget the old key: os-ssh hostkeys ${id} --forget`},
  )
}
