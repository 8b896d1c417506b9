import {renderConfig} from '../ssh/config.ts'
import {knownHostsFile} from '../ssh/known-hosts.ts'
import {configPath} from '../ssh/quote.ts'
import {writeAtomic} from '../system/files.ts'
import {ensurePath} from './ensure-path.ts'
import {configHosts} from './hosts.ts'
import {pathFiles} from './path-files.ts'
import {rememberNode} from './proxy.ts'
import {findServer} from './servers.ts'
import {type SessionOptions, withSession} from './session.ts'

export interface ConnectOptions extends SessionOptions {
  readonly vm: string
  /** Given to ssh as they are, before the host. */
  readonly sshOptions?: readonly string[]
  readonly command?: readonly string[]
}

/** A VM's own ssh_config, and the name it has there. */
export interface Target {
  readonly file: string
  readonly id: string
}

/** Finds the VM, makes sure of the path to it, and writes the ssh_config with which to go there. @throws OsSshError */
export function prepare(options: ConnectOptions): Promise<Target> {
  return withSession({...options, needsKey: true}, async session => {
    const server = await findServer(session, options.vm)
    const [hosts] = await Promise.all([
      configHosts(session, [server]),
      ensurePath(session, server.id),
      rememberNode(),
    ])
    const file = pathFiles(session.directory, server.id).connect
    await writeAtomic(file, renderConfig(hosts, configPath(knownHostsFile())), 0o600)
    return {file, id: server.id}
  })
}
