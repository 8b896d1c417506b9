import {stat, unlink} from 'node:fs/promises'
import {join} from 'node:path'

import {ensureAgent} from '../ssh/agent.ts'
import {pinnedKeys} from '../ssh/known-hosts.ts'
import {readIfThere} from '../system/files.ts'

/** A path as bin/proxy reads it: one line `until alias port gate expires id`. */
export interface PathFile {
  /** Until when to use it without asking the service, epoch s: two thirds of its certificate's life. */
  readonly until: number
  readonly alias: string
  readonly port: number
  readonly gate: string
  /** Until when it can be used at all: the end of its certificate, epoch s. */
  readonly expires: number
  readonly id: string
  /** ssh_config of the gate's hop. */
  readonly config: string
}

const now = () => Math.floor(Date.now() / 1000)

/** The path to a VM that earlier commands left, however old. */
export async function readPath(directory: string, serverId: string): Promise<PathFile | undefined> {
  const text = await readIfThere(join(directory, `${serverId}.path`))
  const [until, alias, port, gate, expires, id] = text?.trim().split(' ') ?? []
  if (!until || !alias || !port || !gate || !expires || !id) return undefined
  const config = join(directory, `${serverId}.conf`)
  return {until: Number(until), alias, port: Number(port), gate, expires: Number(expires), id, config}
}

/** When the path to a VM was written, epoch ms; 0 without one. */
export async function writtenAt(directory: string, serverId: string): Promise<number> {
  return stat(join(directory, `${serverId}.path`)).then(
    file => file.mtimeMs,
    () => 0,
  )
}

/** Whether a path can be used as it is, without a word to anybody: it is young, its VM's host key is pinned, and the agent is there. */
export async function freshPath(directory: string, serverId: string): Promise<PathFile | undefined> {
  const path = await readPath(directory, serverId)
  if (!path || path.until <= now() || (await pinnedKeys(serverId)).length === 0) return undefined
  return (await (await ensureAgent(directory)).keys()).length > 0 ? path : undefined
}

/** Removes what this machine keeps of the path to a VM. */
export async function forgetPath(directory: string, serverId: string): Promise<void> {
  for (const end of ['.path', '.conf', '.known', '-cert.pub', '.pub', '.ssh']) {
    await unlink(join(directory, `${serverId}${end}`)).catch(() => {})
  }
}
