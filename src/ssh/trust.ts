import {dirname} from 'node:path'

import {makeDirectory} from '../system/files.ts'
import {run} from '../system/process.ts'
import {type Hop, hopArguments} from './hop.ts'
import {fingerprint} from './keys.ts'
import {knownHostsFile, pinnedKeys} from './known-hosts.ts'
import {configPath, proxyCommand} from './quote.ts'

/**
 * Pins the host key that a VM shows now (trust on first use), by letting ssh connect once without logging in. Done
 * here, and not by `accept-new` in the user's configuration: that would take a *second* type of key from anybody.
 * @returns the fingerprint; undefined when the VM did not answer: ssh itself then says so
 */
export async function learnHostKey(id: string, hop: Hop): Promise<string | undefined> {
  const options = {
    ProxyCommand: proxyCommand(['ssh', ...hopArguments(hop)]),
    HostKeyAlias: id,
    UserKnownHostsFile: configPath(knownHostsFile()),
    GlobalKnownHostsFile: 'none',
    StrictHostKeyChecking: 'accept-new',
    UpdateHostKeys: 'no',
    HashKnownHosts: 'no',
    BatchMode: 'yes',
    PreferredAuthentications: 'none',
    ConnectTimeout: '15',
  }
  // ssh does not make it, and then forgets the key without failing.
  await makeDirectory(dirname(knownHostsFile()))
  const args = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  await run('ssh', ['-F', 'none', ...args, '-l', 'nobody', id, 'true'], {timeout: 30_000})
  const [key] = await pinnedKeys(id)
  return key && fingerprint(key)
}
