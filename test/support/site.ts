import {labDown, labUp} from '../../src/lab/index.ts'
import {site as openstackSite} from '../openstack/cloud.ts'
import {reset} from '../openstack/reset.ts'

/** A cloud that tests run on, by name: what the lab says of itself, and what test/openstack says of the real one. */
export interface Site {
  readonly name: string
  readonly ssh_endpoint: string
  readonly clouds_yaml: string
  readonly management_key: string
  readonly user_keys: Readonly<Record<'alice' | 'bob', string>>
  readonly gates: readonly {readonly server_id: string; readonly name: string; readonly host: string}[]
  readonly servers: readonly {
    readonly id: string
    readonly name: string
    /** Network name -> fixed addresses, where the site says so. */
    readonly addresses?: Readonly<Record<string, readonly string[]>>
  }[]
  /** Address of the lab's API, which takes faults (src/lab/api/faults.ts); no other cloud does. */
  readonly api?: string
}

/** OS_SSH_TEST_CLOUD: the cloud that this run is about. */
export const testCloud = process.env['OS_SSH_TEST_CLOUD'] === 'openstack' ? 'openstack' : 'lab'

/**
 * A cloud as it is when nobody has used it yet: a new lab of that name, or the real one with its gates rebooted and
 * everything of ours taken out.
 *
 * @param name every test file has its own, so that what a killed run left behind is found and removed
 */
export async function openSite(name: string): Promise<Site> {
  if (testCloud === 'lab') {
    await labDown({name})
    return labUp({name, port: 0})
  }
  const site = openstackSite()
  if (site === undefined) throw new Error('the real cloud is not up: npm run openstack -- up')
  await reset(site)
  return site
}

/** The lab goes; the real cloud stays, for the next file. */
export async function closeSite(site: Site): Promise<void> {
  if (testCloud === 'lab') await labDown({name: site.name})
}
