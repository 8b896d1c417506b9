/** What the cloud's operations ask of the machine. The lab does it with namespaces; unit tests with nothing at all. */
import type {PortRecord, ServerRecord} from '../state.ts'

export interface Fabric {
  /** Starts the guest with all its ports plugged and configured. Sets nothing in the record but `host_key`. */
  boot(server: ServerRecord): Promise<void>
  /** Ends every process of the guest; its host key and console log stay. */
  shutdown(server: ServerRecord): Promise<void>
  /** Shuts down and forgets the guest. */
  destroy(server: ServerRecord): Promise<void>
  /** Puts a real NIC into a running guest: down, without an address. */
  plug(server: ServerRecord, port: PortRecord): Promise<void>
  /** Takes the NIC away, wherever the guest has moved it. */
  unplug(server: ServerRecord, port: PortRecord): Promise<void>
  /** Makes the router's namespace look like its record and ports; removes it when the record is gone. */
  syncRouter(routerId: string): Promise<void>
  /** Applies changed security groups. */
  syncSecurity(): Promise<void>
  /** Forgets a network's bridge, if there is one. */
  removeNetwork(networkId: string): Promise<void>
  console(server: ServerRecord): Promise<string>
}

/** A cloud on paper: every call succeeds and nothing happens. */
export function paperFabric(): Fabric {
  const nothing = async () => undefined
  return {
    boot: nothing,
    shutdown: nothing,
    destroy: nothing,
    plug: nothing,
    unplug: nothing,
    syncRouter: nothing,
    syncSecurity: nothing,
    removeNetwork: nothing,
    console: async server => consoleLog(server.hostname, server.host_key),
  }
}

/** The console of a guest without user data, as cloud-init would leave it, with the host key between its markers. */
export function consoleLog(hostname: string, hostKey: string, fingerprint = ''): string {
  const lines = [
    `[    0.000000] Linux version 6.1.0-18-cloud-amd64 (debian-kernel@lists.debian.org)`,
    `[    1.204871] cloud-init[412]: Cloud-init v. 22.4.2 running 'init' on ${hostname}`,
    'ci-info: no authorized SSH keys fingerprints found for user root.',
  ]
  if (hostKey !== '') {
    lines.push(
      '-----BEGIN SSH HOST KEY FINGERPRINTS-----',
      `256 ${fingerprint} root@${hostname} (ED25519)`,
      '-----END SSH HOST KEY FINGERPRINTS-----',
      '-----BEGIN SSH HOST KEY KEYS-----',
      `${hostKey} root@${hostname}`,
      '-----END SSH HOST KEY KEYS-----',
    )
  }
  lines.push('', `Debian GNU/Linux 12 ${hostname} ttyS0`, '', `${hostname} login: `)
  return `${lines.join('\n')}\n`
}
