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
  await removeMade(admin)
  for (const {server_id} of site.gates)
    await admin.nova('POST', `servers/${server_id}/action`, {reboot: {type: 'HARD'}})
  await until('the gates to boot', async () => {
    const {servers} = await admin.nova('GET', 'servers/detail?all_tenants=1')
    return site.gates.every(gate => servers.find((s: Json) => s.id === gate.server_id)?.status === 'ACTIVE')
  })
  for (const {host} of site.gates) await until(`the gate at ${host}`, () => listening(22, host))
  writeFileSync(untouched, '')
}

/** Gates that a killed run's service has made, and what they were made of. */
async function removeMade(admin: Rest): Promise<void> {
  const ours = ({name}: Json) => name.startsWith('os-ssh-')
  const servers = async () => (await admin.nova('GET', 'servers?all_tenants=1')).servers.filter(ours)
  for (const {id} of await servers()) await admin.nova('DELETE', `servers/${id}`)
  await until('the gates of a killed run to go', async () => (await servers()).length === 0)
  for (const {id, description} of (await admin.neutron('GET', 'floatingips')).floatingips)
    if (description.startsWith('os-ssh ')) await admin.neutron('DELETE', `floatingips/${id}`)
  const {ports} = await admin.neutron('GET', 'ports')
  for (const port of ports.filter(ours)) await remove(admin, port)
  for (const {id} of (await admin.neutron('GET', 'security-groups')).security_groups.filter(ours))
    await admin.neutron('DELETE', `security-groups/${id}`)
  for (const {id} of (await admin.nova('GET', 'os-server-groups?all_projects=1')).server_groups.filter(ours))
    await admin.nova('DELETE', `os-server-groups/${id}`)
}

async function remove(admin: Rest, port: Json): Promise<void> {
  const find = async () => (await admin.neutron('GET', `ports?id=${port.id}`)).ports[0]
  if (port.device_id !== '') {
    await admin.nova('DELETE', `servers/${port.device_id}/os-interface/${port.id}`)
    await until(`port ${port.id} to be detached`, async () => !(await find())?.device_id)
  }
  if (await find()) await admin.neutron('DELETE', `ports/${port.id}`)
}
