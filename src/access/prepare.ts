import {join} from 'node:path'

import {renderConfig} from '../ssh/config.ts'
import {knownHostsFile} from '../ssh/known-hosts.ts'
import {configPath} from '../ssh/quote.ts'
import {writeAtomic} from '../system/files.ts'
import type {ConnectOptions, Target} from './connect.ts'
import {configHosts} from './hosts.ts'
import {ensurePath} from './paths.ts'
import {rememberNode} from './proxy.ts'
import {findServer} from './servers.ts'
import {withSession} from './session.ts'

/** Finds the VM, makes sure of the path to it, and writes the ssh_config with which to go there. @throws OsSshError */
export function prepare(options: ConnectOptions): Promise<Target> {
  return withSession({...options, needsKey: true}, async session => {
    const server = await findServer(session, options.vm)
    const [hosts] = await Promise.all([
      configHosts(session, [server]),
      ensurePath(session, server.id),
      rememberNode(),
    ])
    const file = join(session.directory, `${server.id}.ssh`)
    await writeAtomic(file, renderConfig(hosts, configPath(knownHostsFile())), 0o600)
    return {file, id: server.id}
  })
}
