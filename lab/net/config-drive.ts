import type {ServerRecord} from '../state.ts'

/** What Nova appends to a host name (its `dhcp_domain`). */
const domain = 'novalocal'

/**
 * Files of a server's config drive, with the fields that Nova 26 writes and cloud-init reads.
 *
 * @returns content by path below the drive's root
 */
export function configDrive(server: ServerRecord): ReadonlyMap<string, string | Buffer> {
  const {id: uuid, name, hostname, tenant_id: project_id, key_name, key_data, metadata: meta} = server
  const keys =
    key_name === null || key_data === null
      ? {}
      : {
          public_keys: {[key_name]: `${key_data.trim()}\n`},
          keys: [{name: key_name, type: 'ssh', data: `${key_data.trim()}\n`}],
        }
  const metadata = {
    ...{
      uuid,
      name,
      hostname: `${hostname}.${domain}`,
      launch_index: 0,
      availability_zone: 'nova',
      project_id,
    },
    ...keys,
    ...(Object.keys(meta).length > 0 && {meta}),
  }
  const files = new Map<string, string | Buffer>([
    ['openstack/latest/meta_data.json', JSON.stringify(metadata)],
  ])
  if (server.user_data !== null)
    files.set('openstack/latest/user_data', Buffer.from(server.user_data, 'base64'))
  return files
}

/**
 * Size of a guest's disk where a test limits it, MiB: the server's metadata `lab:disk_mb`. 0 is too small to boot from.
 * Only a server with user data has it.
 *
 * @returns undefined when it is not limited @throws Error when it is no whole number
 */
export function diskLimit(metadata: Readonly<Record<string, string>>): number | undefined {
  const given = metadata['lab:disk_mb']
  if (given === undefined) return undefined
  if (!/^\d{1,5}$/.test(given)) throw new Error(`lab:disk_mb ${JSON.stringify(given)}: whole MiB are wanted`)
  return Number(given)
}
