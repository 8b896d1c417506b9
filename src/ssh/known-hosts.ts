import {mkdir} from 'node:fs/promises'
import {dirname, join} from 'node:path'

import {OsSshError} from '../errors.ts'
import {readIfThere, sshDirectory, withLock, writeAtomic} from './files.ts'
import {fingerprint} from './keys.ts'

/** os-ssh's own known_hosts: VMs stand in it under their UUIDs (HostKeyAlias). */
export const knownHostsFile = () => join(sshDirectory(), 'os-ssh', 'known_hosts')

/** Keys pinned for a VM, as `type base64`. */
export async function pinnedKeys(id: string, file = knownHostsFile()): Promise<readonly string[]> {
  return entries((await readIfThere(file)) ?? '').flatMap(entry => (entry.id === id ? entry.key : []))
}

/**
 * Pins a VM's host keys, so that ssh never has to ask. The first keys win: OpenSSH would take a new type of key from
 * anybody once, so all of them must agree with what was pinned.
 * @throws OsSshError HOST_KEY when a pinned key differs, or none of the keys is the one that was pinned
 */
export async function pinKeys(id: string, keys: readonly string[], file = knownHostsFile()): Promise<void> {
  if (keys.length === 0) return
  await mkdir(dirname(file), {recursive: true, mode: 0o700})
  await withLock(`${file}.lock`, async () => {
    const text = (await readIfThere(file)) ?? ''
    const known = entries(text).flatMap(entry => (entry.id === id ? entry.key : []))
    const changed = known.find(key => keys.some(other => typeOf(other) === typeOf(key) && other !== key))
    if (changed ?? (known.length > 0 && !known.some(key => keys.includes(key)))) {
      throw changedKey(id, known, keys)
    }
    const missing = keys.filter(key => !known.includes(key))
    if (missing.length === 0) return
    const before = text === '' || text.endsWith('\n') ? text : `${text}\n`
    await writeAtomic(file, before + missing.map(key => `${id} ${key}\n`).join(''), 0o600)
  })
}

/** Forgets a VM's keys, for a machine that was rebuilt on purpose. */
export async function forgetKeys(id: string, file = knownHostsFile()): Promise<void> {
  if ((await readIfThere(file)) === undefined) return
  await withLock(`${file}.lock`, async () => {
    const lines = ((await readIfThere(file)) ?? '').split('\n')
    await writeAtomic(file, lines.filter(line => !line.startsWith(`${id} `)).join('\n'), 0o600)
  })
}

function entries(text: string): {id: string; key: string}[] {
  return text.split('\n').flatMap(line => {
    const [id, type, base64] = line.split(/\s+/)
    return id && type && base64 && !line.startsWith('#') ? [{id, key: `${type} ${base64}`}] : []
  })
}

const typeOf = (key: string) => key.slice(0, key.indexOf(' '))

function changedKey(id: string, known: readonly string[], keys: readonly string[]): OsSshError {
  const show = (list: readonly string[]) => list.map(key => `${typeOf(key)} ${fingerprint(key)}`).join(', ')
  return new OsSshError(
    'HOST_KEY',
    `the host key of VM ${id} is not the one that was pinned\npinned: ${show(known)}\nnow:    ${show(keys)}`,
    {hint: `if the machine was rebuilt on purpose, forget the old key: os-ssh paths revoke ${id}`},
  )
}
