import {readFile} from 'node:fs/promises'

import {OsSshError} from '../errors.ts'
import type {Server} from '../openstack/types.ts'
import {type ConfigHost, patterns, renderConfig} from '../ssh/config.ts'
import {type Change, commit, plan, writtenHosts} from '../ssh/install.ts'
import {knownHostsFile} from '../ssh/known-hosts.ts'
import {configPath} from '../ssh/quote.ts'
import {overridden, ownerOf, ownHosts} from '../ssh/user-config.ts'
import {ensurePath} from './ensure-path.ts'
import {configHosts} from './hosts.ts'
import {rememberNode} from './proxy.ts'
import {findServer, listServers} from './servers.ts'
import type {Session} from './session.ts'

export interface ConfigOptions {
  /** VMs by UUID, start of it or name; all when empty. */
  readonly vms: readonly string[]
  /** Both hops in plain text instead of a ProxyCommand; makes the paths now. */
  readonly static?: boolean
}

/** The longest life that the service's API takes; it gives what its operator allows, s. */
const LONGEST_S = 30 * 86_400

/** The ssh_config for VMs. It grants nothing, but for `static`. @throws OsSshError */
export async function configText(session: Session, options: ConfigOptions): Promise<string> {
  const servers = await chosenServers(session, options.vms)
  const config = await text(session, servers, options)
  const [{id}] = servers
  const lost = await overridden(config, id, session.directory)
  if (lost.length > 0)
    session.say(
      `in ~/.ssh/config, earlier lines decide ${lost.join(', ')} for these hosts: put this text before them, or use os-ssh config --write`,
    )
  return config
}

/** What `--write` would change in ~/.ssh. VMs that are named join those that are there. @throws OsSshError */
export async function planWrite(session: Session, options: ConfigOptions): Promise<readonly Change[]> {
  // It would promise an ssh that cannot be.
  session.needKeychain()
  const servers = await chosenServers(session, options.vms, await writtenHosts(session.name))
  return plan(session.name, await text(session, servers, options))
}

/** What `--remove` would change in ~/.ssh. Asks the cloud nothing. @throws OsSshError */
export function planRemove({name}: Session): Promise<readonly Change[]> {
  return plan(name, undefined)
}

/** Makes planned changes. @throws OsSshError */
export const applyChanges = commit

/** Planned changes as a unified diff. */
export async function showChanges(changes: readonly Change[]): Promise<string> {
  const {createTwoFilesPatch} = await import('diff')
  return changes.map(({file, before, after = ''}) => createTwoFilesPatch(file, file, before, after)).join('')
}

/** @param more UUIDs of others that shall stay, as long as they are seen */
async function chosenServers(
  session: Session,
  vms: readonly string[],
  more: ReadonlySet<string> = new Set(),
): Promise<readonly [Server, ...Server[]]> {
  const named = await Promise.all(vms.map(vm => findServer(session, vm)))
  const all = vms.length === 0 || more.size > 0 ? await listServers(session) : []
  const found = vms.length === 0 ? all : [...named, ...all.filter(({id}) => more.has(id))]
  const [first, ...others] = new Map(found.map(server => [server.id, server])).values()
  if (first === undefined) throw new OsSshError('NOT_FOUND', 'you see no VM in this project')
  return [first, ...others]
}

async function text(session: Session, servers: readonly Server[], options: ConfigOptions): Promise<string> {
  const [hosts, mine] = await Promise.all([configHosts(session, servers), ownHosts(), rememberNode()])
  const known = configPath(knownHostsFile())
  const isTaken = (name: string) => ownerOf(name, mine) !== undefined
  for (const [id, [, name]] of patterns(hosts)) {
    const owner = name === undefined ? undefined : ownerOf(name, mine)
    if (owner !== undefined)
      session.say(`${name} stays what it is in ${owner.file}, line ${owner.line}: that VM is ${id} here`)
  }
  if (!options.static) return renderConfig(hosts, known, isTaken)
  const {gates, fixed} = await fixedHosts(session, hosts, options.vms)
  return `${gates.join('\n')}\n${renderConfig(fixed, known, isTaken)}`
}

/**
 * The hosts with both hops in plain text, which makes their paths.
 *
 * @param wanted VMs that were named; of the others one that cannot be reached is left out, and said, as long as another can
 */
async function fixedHosts(session: Session, hosts: readonly ConfigHost[], wanted: readonly string[]) {
  const gates: string[] = []
  const ends: number[] = []
  const fixed: ConfigHost[] = []
  let fault: unknown
  for (const {proxyCommand: _, ...host} of hosts) {
    const path = await ensurePath(session, host.id, {life: LONGEST_S}).catch(error => {
      if (!(error instanceof OsSshError)) throw error
      const its = named(error, host)
      fault ??= its
      if (!OF_ONE_VM.test(error.code) || wanted.includes(host.id) || wanted.includes(host.name)) throw fault
      session.say(`left out: ${its.message}`)
    })
    if (path === undefined) continue
    // An older os-ssh called the Host after the gate alone: two of these would not go into one text.
    if (!path.gate.endsWith(host.id))
      throw named(new OsSshError('SERVICE_DOWN', 'its path is an older one, and cannot be renewed now'), host)
    ends.push(path.expires)
    gates.push(await readFile(path.config, 'utf8'))
    fixed.push({...host, proxyJump: path.gate, hostName: path.alias, port: path.port})
  }
  if (fixed.length === 0) throw fault
  const end = new Date(Math.min(...ends) * 1000).toISOString()
  session.say(`nothing renews these paths: their certificates are good until ${end}`)
  return {gates, fixed}
}

/** What says something of one VM, and nothing of the next one. */
const OF_ONE_VM = /^(VM_|NIC_MISSING|HOST_KEY|NOT_FOUND|DENIED|CLOUD_REFUSED)/

const named = (error: OsSshError, {name, id}: ConfigHost) =>
  new OsSshError(error.code, `${name} (${id}): ${error.message}`, {
    hint: error.suggestions[0] ?? '',
    cause: error,
  })
