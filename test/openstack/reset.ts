import {existsSync, rmSync, writeFileSync} from 'node:fs'

import {login} from './identity.ts'
import {dir} from './place.ts'
import {listening, until} from './processes.ts'
import type {Json, Rest} from './rest.ts'
import type {Site} from './topology.ts'

const untouched = `${dir}/untouched`

/** Whoever configures gates says so: the next reset gives them a fresh boot. */
export function touch(): void {
  rmSync(untouched, {force: true})
}

/**
 * Takes out what os-ssh has made and gives the gates a fresh boot: the cloud is as `up` left it. Files that only ask its APIs
 * share it as it is.
 */
export async function reset(site: Site): Promise<void> {
  if (existsSync(untouched)) return
  const admin = await login('admin')
  const {ports} = await admin.neutron('GET', 'ports')
  for (const port of ports.filter((p: Json) => p.name.startsWith('os-ssh-'))) await remove(admin, port)
  for (const {server_id} of site.gates)
    await admin.nova('POST', `servers/${server_id}/action`, {reboot: {type: 'HARD'}})
  await until('the gates to boot', async () => {
    const {servers} = await admin.nova('GET', 'servers/detail?all_tenants=1')
    return site.gates.every(gate => servers.find((s: Json) => s.id === gate.server_id)?.status === 'ACTIVE')
  })
  for (const {host} of site.gates) await until(`the gate at ${host}`, () => listening(22, host))
  writeFileSync(untouched, '')
}

async function remove(admin: Rest, port: Json): Promise<void> {
  const find = async () => (await admin.neutron('GET', `ports?id=${port.id}`)).ports[0]
  if (port.device_id !== '') {
    await admin.nova('DELETE', `servers/${port.device_id}/os-interface/${port.id}`)
    await until(`port ${port.id} to be detached`, async () => !(await find())?.device_id)
  }
  if (await find()) await admin.neutron('DELETE', `ports/${port.id}`)
}
