import {unlink} from 'node:fs/promises'
import {join} from 'node:path'

import {OsSshError} from '../errors.ts'
import {socketPath} from '../system/directories.ts'
import {readIfThere, writeAtomic} from '../system/files.ts'
import {withLock} from '../system/lock.ts'
import {run} from '../system/process.ts'

/** Our own OpenSSH ssh-agent of one cloud: in its runtime directory, never the user's SSH_AUTH_SOCK. */
export interface Agent {
  readonly socket: string
  /** Public keys it holds now, as `type base64`. */
  keys(): Promise<readonly string[]>
  /** Hands over an OpenSSH private key through a pipe; the agent forgets it after `life` seconds. */
  add(privateKey: string, life: number): Promise<void>
}

/** Path of the agent's socket in a runtime directory. */
export const agentSocket = (directory: string) => join(directory, 'agent')

/**
 * The agent of a runtime directory, started when it is not there. Ten callers at once start one.
 * @throws OsSshError LOCAL_TOOL when ssh-agent cannot be started, CONFIG when its socket's path is too long
 */
export async function ensureAgent(directory: string): Promise<Agent> {
  const socket = socketPath(agentSocket(directory), 'agent')
  if (!(await answers(socket))) {
    await withLock(join(directory, 'agent.lock'), async () => {
      if (!(await answers(socket))) await start(directory, socket)
    })
  }
  return {
    socket,
    async keys() {
      const {status, stdout} = await sshAdd(socket, ['-L'])
      // Without keys it says so in words, on standard output.
      if (status !== 0) return []
      return stdout.split('\n').flatMap(line => /^(\S+ \S+)(?: |$)/.exec(line)?.[1] ?? [])
    },
    async add(privateKey, life) {
      const {status, stderr} = await sshAdd(socket, ['-q', '-t', String(Math.ceil(life)), '-'], privateKey)
      if (status !== 0) throw new OsSshError('BUG', `ssh-add did not take the key: ${stderr.trim()}`)
    },
  }
}

/** Ends the agent of a runtime directory, if it is ours and there. */
export async function stopAgent(directory: string): Promise<void> {
  const pid = Number(await readIfThere(join(directory, 'agent.pid')))
  // Only while the socket answers is the pid certainly still an agent's.
  if (Number.isInteger(pid) && pid > 1 && (await answers(agentSocket(directory)))) {
    await run('ssh-agent', ['-k'], {
      env: {...process.env, SSH_AGENT_PID: String(pid), SSH_AUTH_SOCK: agentSocket(directory)},
    })
  }
  for (const name of ['agent', 'agent.pid']) await unlink(join(directory, name)).catch(() => {})
}

async function start(directory: string, socket: string): Promise<void> {
  await unlink(socket).catch(() => {})
  const {status, stdout, stderr} = await run('ssh-agent', ['-s', '-a', socket])
  const pid = /SSH_AGENT_PID=(\d+);/.exec(stdout)?.[1]
  if (status !== 0 || !pid) throw new OsSshError('LOCAL_TOOL', `ssh-agent did not start: ${stderr.trim()}`)
  await writeAtomic(join(directory, 'agent.pid'), pid)
}

/** ssh-add ends with 0 (keys) or 1 (no keys) when an agent answers, with 2 when none does. */
async function answers(socket: string): Promise<boolean> {
  return (await sshAdd(socket, ['-l'])).status < 2
}

function sshAdd(socket: string, args: string[], input?: string) {
  const env = {...process.env, SSH_AUTH_SOCK: socket, SSH_ASKPASS_REQUIRE: 'never'}
  return run('ssh-add', args, {env, ...(input !== undefined && {input})})
}
