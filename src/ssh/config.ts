import {template} from '../system/template.ts'

/** One VM as it stands in an ssh_config. */
export interface ConfigHost {
  readonly id: string
  readonly name: string
  readonly project: string
  /** Login of the image, when known. */
  readonly user?: string | undefined
  /** Already fit for ssh_config, as the values below. */
  readonly identityFile?: string | undefined
  readonly proxyCommand?: string
  /** For `--static`: the gate's Host and the VM's alias there. */
  readonly proxyJump?: string
  readonly hostName?: string
  readonly port?: number
}

/** What no VM may be called in an ssh_config: these mean this machine. */
const RESERVED = new Set(['localhost', 'all', 'none'])

/**
 * Whether a VM's name may be a Host pattern: a plain label. No wildcard, negation, blank, quote, leading dash, control
 * or Unicode; no dot either, because a colleague who calls a VM `github.com` must not get the user's `git push`; and
 * nothing that looks like another VM's UUID.
 */
export function isHostName(name: string): boolean {
  return (
    /^[A-Za-z0-9_][A-Za-z0-9_-]{0,254}$/.test(name) &&
    !RESERVED.has(name.toLowerCase()) &&
    !/^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i.test(name)
  )
}

/** Whether NAME.PROJECT may be a pattern; here the VM's name may have dots. */
function isQualified(name: string, project: string): boolean {
  const labels = /^[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_][A-Za-z0-9_-]*)*$/
  return labels.test(name) && isHostName(project) && name.length + project.length < 255
}

/**
 * Patterns of each VM: its UUID; its name and NAME.PROJECT where these are fit and nobody else's. Names are compared
 * without case, because users type them so.
 *
 * @param isTaken names that mean something else to the user already
 */
export function patterns(
  hosts: readonly Pick<ConfigHost, 'id' | 'name' | 'project'>[],
  isTaken: (name: string) => boolean = () => false,
): Map<string, string[]> {
  const counts = new Map<string, number>()
  for (const {name} of hosts) counts.set(name.toLowerCase(), (counts.get(name.toLowerCase()) ?? 0) + 1)
  return new Map(
    hosts.map(({id, name, project}) => {
      const unique = counts.get(name.toLowerCase()) === 1
      const own = unique && isHostName(name) ? [name] : []
      const qualified = unique && isQualified(name, project) ? [`${name}.${project}`] : []
      return [id, [id, ...[...own, ...qualified].filter(one => !isTaken(one))]]
    }),
  )
}

/**
 * The hosts as ssh_config: sorted by UUID, no dates, the same for the same cloud. It begins with `Host`, so that it
 * cannot fall into a block of somebody's file when it is appended.
 */
export function renderConfig(
  hosts: readonly ConfigHost[],
  known: string,
  isTaken?: (name: string) => boolean,
): string {
  const named = patterns(hosts, isTaken)
  const block = template('ssh_config/vm.eta')
  return [...hosts]
    .sort((one, other) => (one.id < other.id ? -1 : 1))
    .map(host =>
      block({
        hostName: host.id,
        user: undefined,
        identityFile: undefined,
        proxyCommand: undefined,
        proxyJump: undefined,
        port: undefined,
        ...host,
        patterns: named.get(host.id) ?? [host.id],
        knownHosts: known,
      }),
    )
    .join('\n')
}
