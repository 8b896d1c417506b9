import {OsSshError} from '../../errors.ts'
import {gatesConfig} from '../deploy/config.ts'
import type {OpenServiceOptions} from '../open.ts'
import {
  NUMBERS,
  type NumberKey,
  type ServiceFile,
  type Settings,
  USUAL_LISTEN,
  usualState,
} from './settings.ts'

/** What is said on the command line, as settings: `max-life` is `max_life`. */
export function settingsOf(flags: Readonly<Record<string, unknown>>): Settings {
  const said = Object.entries(flags).filter(([, value]) => value !== undefined)
  return Object.fromEntries(
    said.map(([name, value]) => [
      name === 'admin-project' ? 'admin_projects' : name.replaceAll('-', '_'),
      value,
    ]),
  )
}

/**
 * The configuration of the service: what the flags say, else the file, else what is usual.
 *
 * @throws OsSshError CONFIG when nobody says by which key the gates are managed
 */
export function serviceConfig(flags: Settings, file: ServiceFile): Omit<OpenServiceOptions, 'version'> {
  const {gates} = file
  const said = {...file, ...flags}
  const numbers = Object.entries(NUMBERS).map(([key, {usual}]) => [key, said[key as NumberKey] ?? usual])
  const number = Object.fromEntries(numbers) as Record<NumberKey, number>
  if (said.management_key === undefined)
    throw new OsSshError('CONFIG', 'nobody says by which private key the gates are managed', {
      hint: 'say --management-key, OS_SSH_MANAGEMENT_KEY, or management_key in the file that --config names',
    })
  return {
    ...(said.os_cloud === undefined ? {} : {osCloud: said.os_cloud}),
    ...(said.database === undefined ? {} : {database: said.database}),
    ...(gates === undefined ? {} : {gates: gatesConfig(gates)}),
    state: said.state ?? usualState(),
    managementKey: said.management_key,
    listen: said.listen ?? USUAL_LISTEN,
    plainHttp: said.plain_http ?? false,
    adminProjects: said.admin_projects ?? [],
    maxLife: number.max_life,
    defaultLife: number.default_life,
    certLife: number.cert_life,
    fairness: {
      perVm: number.paths_per_vm,
      perUser: number.paths_per_user,
      share: number.project_share / 100,
    },
    grace: number.grace,
    resync: number.resync,
    survey: number.survey,
    retention: number.retention,
    maxPathsPerGate: number.max_paths,
    maxNetworksPerGate: number.max_networks,
  }
}
