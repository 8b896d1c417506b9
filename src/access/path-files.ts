import {readdir, unlink} from 'node:fs/promises'
import {join} from 'node:path'

import {ensureAgent} from '../ssh/agent.ts'
import type {Hop} from '../ssh/hop.ts'
import {pinnedKeys} from '../ssh/known-hosts.ts'
import {readIfThere} from '../system/files.ts'

/** The files of the path to one VM, in its cloud's runtime directory. bin/proxy spells some of them, too: a test compares. */
export function pathFiles(directory: string, serverId: string) {
  const at = join(directory, serverId)
  return {
    /** The one that bin/proxy reads; see PathFile. */
    state: `${at}.path`,
    /** ssh_config of the gate's hop. */
    config: `${at}.conf`,
    knownHosts: `${at}.known`,
    certificate: `${at}-cert.pub`,
    publicKey: `${at}.pub`,
    /** ssh_config of the VM, for connect. */
    connect: `${at}.ssh`,
    /** Held by whoever gets the path. */
    lock: `${at}.lock`,
  }
}

/** UUIDs of the VMs that this machine keeps a path to. */
export async function keptPaths(directory: string): Promise<string[]> {
  const files = await readdir(directory).catch(() => [])
  return files.filter(name => name.endsWith('.path')).map(name => name.slice(0, -'.path'.length))
}

/** A path as bin/proxy reads it: one line `until alias port gate expires id written`. */
export interface PathFile extends Hop {
  /** Until when to use it without asking the service, epoch s: two thirds of its certificate's life. */
  readonly until: number
  /** Until when it can be used at all: the end of its certificate, epoch s. */
  readonly expires: number
  readonly id: string
  /** When its file was written, epoch ms; 0 by an older os-ssh. Tells two writings of the same path apart. */
  readonly written: number
}

/** The time as a path's file has it, epoch s. */
export const now = () => Math.floor(Date.now() / 1000)

/** The path to a VM that earlier commands left, however old. */
export async function readPath(directory: string, serverId: string): Promise<PathFile | undefined> {
  const {state, config} = pathFiles(directory, serverId)
  const text = await readIfThere(state)
  const [until, alias, port, gate, expires, id, written = 0] = text?.trim().split(' ') ?? []
  if (!until || !alias || !port || !gate || !expires || !id) return undefined
  const numbers = {
    until: Number(until),
    port: Number(port),
    expires: Number(expires),
    written: Number(written),
  }
  // What is no number is neither over nor young, and would be used for ever.
  if (!Object.values(numbers).every(Number.isFinite)) return undefined
  return {...numbers, alias, gate, id, config}
}

/** Whether a path can be used as it is, without a word to anybody: it is young, its VM's host key is pinned, and the agent is there. */
export async function freshPath(directory: string, serverId: string): Promise<PathFile | undefined> {
  const path = await readPath(directory, serverId)
  if (!path || path.until <= now() || (await pinnedKeys(serverId)).length === 0) return undefined
  return (await (await ensureAgent(directory)).keys()).length > 0 ? path : undefined
}

/** Removes what this machine keeps of the path to a VM. */
export async function forgetPath(directory: string, serverId: string): Promise<void> {
  const {lock: _, ...files} = pathFiles(directory, serverId)
  for (const file of Object.values(files)) await unlink(file).catch(() => {})
}
