import {join} from 'node:path'

import type {PathGrant} from '../protocol/index.ts'
import {agentSocket} from '../ssh/agent.ts'
import {configPath} from '../ssh/quote.ts'
import {writeAtomic} from '../system/files.ts'
import {template} from '../system/template.ts'
import type {Identity} from './identity.ts'
import {now, type PathFile, pathFiles} from './path-files.ts'

/** Longest directory below which ssh's control socket (%C and a temporary suffix) fits into sun_path. */
const MAX_CONTROL_DIRECTORY = 104 - 60

/** Keeps what was granted, for ssh and for bin/proxy. */
export async function writePath(directory: string, grant: PathGrant, identity: Identity): Promise<PathFile> {
  const files = pathFiles(directory, grant.server_id)
  const gate = `${grant.gate.id}-${grant.server_id}`
  // The certificate's end, and not the path's: nothing new begins after it.
  const expires = Math.floor(Date.parse(grant.certificate_until) / 1000)
  const until = Math.min(now() + Math.floor(((expires - now()) * 2) / 3), identity.until - 60)
  // A rebuilt VM is about to show its new keys: ask for them each time until it has.
  const unsettled = grant.rebuild?.keys_seen === false
  // 0600 for the public ones too: ssh frightens its user about others when the agent is empty.
  const write = (file: string, text: string) => writeAtomic(file, text, 0o600)
  const authorities = grant.host_cas ?? [grant.host_ca]
  await write(files.knownHosts, authorities.map(ca => `@cert-authority ${grant.gate.id} ${ca}\n`).join(''))
  await write(files.certificate, `${grant.certificate}\n`)
  await write(files.publicKey, `${identity.publicKey}\n`)
  await write(files.config, gateHost(gate, directory, grant))
  const {alias, port, id} = grant
  const path = {until: unsettled ? 0 : until, alias, port, gate, expires, id, written: Date.now()}
  // Last: what it names is complete when it appears.
  await write(files.state, `${Object.values(path).join(' ')}\n`)
  return {...path, config: files.config}
}

/** The gate's hop as a Host of ssh_config. One path, one Host: its certificate is good for nothing else. */
function gateHost(name: string, directory: string, {gate, login, server_id}: PathGrant): string {
  const {knownHosts, certificate, publicKey} = pathFiles(directory, server_id)
  const control = join(directory, '..', '.c')
  // Not on Windows: its OpenSSH cannot multiplex.
  const multiplexes = process.platform !== 'win32' && control.length <= MAX_CONTROL_DIRECTORY
  return template('ssh_config/gate.eta')({
    name,
    gate: gate.id,
    host: gate.host,
    port: gate.port,
    login,
    knownHosts: configPath(knownHosts),
    certificate: configPath(certificate),
    publicKey: configPath(publicKey),
    agent: configPath(agentSocket(directory)),
    control: multiplexes ? configPath(`${control}/`).replace(/"$/, '%C"') : undefined,
  })
}
