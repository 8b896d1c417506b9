import {join} from 'node:path'

import {OsSshError} from '../errors.ts'
import {type ConfigHost, renderConfig} from '../ssh/config.ts'
import {readIfThere} from '../ssh/files.ts'
import {type Change, commit, plan} from '../ssh/install.ts'
import {knownHostsFile} from '../ssh/known-hosts.ts'
import {configPath} from '../ssh/quote.ts'
import {configHosts} from './hosts.ts'
import {ensurePath} from './paths.ts'
import {rememberNode} from './proxy.ts'
import {findServer, listServers} from './servers.ts'
import {type Session, type SessionOptions, withSession} from './session.ts'

export interface ConfigOptions extends SessionOptions {
  /** VMs by UUID, start of it or name; all when empty. */
  readonly vms: readonly string[]
  /** Both hops in plain text instead of a ProxyCommand; makes the paths now. */
  readonly static?: boolean
}

/** The longest life that the service's API takes; it gives what its operator allows, s. */
const LONGEST_S = 30 * 86_400

/** The ssh_config for VMs. It grants nothing, but for `static`. @throws OsSshError */
export function configText(options: ConfigOptions): Promise<string> {
  return withSession(options, session => text(session, options))
}

/** What `--write` would change in ~/.ssh. @throws OsSshError */
export function planWrite(options: ConfigOptions): Promise<readonly Change[]> {
  return withSession(options, async session => plan(session.name, await text(session, options)))
}

/** What `--remove` would change in ~/.ssh. Asks the cloud nothing. @throws OsSshError */
export function planRemove(options: SessionOptions): Promise<readonly Change[]> {
  return withSession(options, session => plan(session.name, undefined))
}

/** Makes planned changes. @throws OsSshError */
export const applyChanges = commit

/** Planned changes as a unified diff. */
export async function showChanges(changes: readonly Change[]): Promise<string> {
  const {createTwoFilesPatch} = await import('diff')
  return changes.map(({file, before, after = ''}) => createTwoFilesPatch(file, file, before, after)).join('')
}

async function text(session: Session, options: ConfigOptions): Promise<string> {
  const {vms} = options
  const all = vms.length === 0
  const found = all ? await listServers(session) : await Promise.all(vms.map(vm => findServer(session, vm)))
  const servers = [...new Map(found.map(server => [server.id, server])).values()]
  if (servers.length === 0) throw new OsSshError('NOT_FOUND', 'you may see no VM in this project')
  const [hosts] = await Promise.all([configHosts(session, servers), rememberNode()])
  const known = configPath(knownHostsFile())
  if (!options.static) return renderConfig(hosts, known)
  const gates: string[] = []
  const ends: number[] = []
  const fixed: ConfigHost[] = []
  for (const {proxyCommand: _, ...host} of hosts) {
    const path = await ensurePath(session, host.id, {life: LONGEST_S})
    ends.push(path.expires)
    // One gate block a path, for the certificate is: a name of its own each.
    const name = `${path.gate}-${host.id}`
    const gate = (await readIfThere(join(session.directory, `${host.id}.conf`))) ?? ''
    gates.push(gate.replace(/^#.*\n/, '').replace(`Host ${path.gate}\n`, `Host ${name}\n`))
    fixed.push({...host, proxyJump: name, hostName: path.alias, port: path.port})
  }
  const end = new Date(Math.min(...ends) * 1000).toISOString()
  session.say(`nothing renews these paths: their certificates are good until ${end}`)
  return `${gates.join('\n')}\n${renderConfig(fixed, known)}`
}
