import {type LabInfo, labDown, labUp} from '../../lab/index.ts'
import {site as openstackSite} from '../openstack/cloud.ts'
import {reset, touch} from '../openstack/reset.ts'
import type {Site as RealSite} from '../openstack/topology.ts'

/** A cloud that tests run on: the lab, or the real one. `api` takes faults (lab/api/faults.ts), which only the lab's does. */
export type Site = Omit<RealSite, 'backend' | 'servers'> &
  Partial<Pick<LabInfo, 'api'>> & {
    readonly servers: readonly (RealSite['servers'][number] &
      Partial<Pick<LabInfo['servers'][number], 'addresses'>>)[]
  }

/** OS_SSH_TEST_CLOUD: the cloud that this run is about. */
export const testCloud = process.env['OS_SSH_TEST_CLOUD'] === 'openstack' ? 'openstack' : 'lab'

/** Is it the real one with OVN, whose answers differ here and there? */
export const onOvn = testCloud === 'openstack' && openstackSite()?.backend === 'ovn'

/**
 * A cloud as it is when nobody has used it yet: a new lab of that name, or the real one with its gates rebooted and
 * everything of ours taken out.
 *
 * @param name every test file has its own, so that what a killed run left behind is found and removed
 * @param use.asks only its APIs: then the next file finds the gates as they are
 * @param use.asIs the real one is taken as it is, unless somebody else's service runs there; the next file gets a fresh one
 */
export async function openSite(
  name: string,
  use: {readonly asks?: boolean; readonly asIs?: boolean} = {},
): Promise<Site> {
  if (testCloud === 'lab') {
    await labDown({name})
    // Its usual port: one by chance has a next one, the SSH service's, that a connection may be using already.
    return labUp({name})
  }
  const site = openstackSite()
  if (site === undefined) throw new Error('the real cloud is not up: npm run openstack -- up')
  if (!use.asIs) await reset(site)
  else if (await fetch(site.ssh_endpoint).catch(() => undefined))
    throw new Error(`a service answers at ${site.ssh_endpoint}: somebody is using the real cloud`)
  if (!use.asks) touch()
  return site
}

/** The lab goes; the real cloud stays, for the next file. */
export async function closeSite(site: Site): Promise<void> {
  if (testCloud === 'lab') await labDown({name: site.name})
}
