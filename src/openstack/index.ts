/**
 * A small OpenStack client: Keystone v3, Nova 2.1, Neutron 2.0 and Glance v2, as far as os-ssh needs them.
 * It imports nothing else of ours, so that it can be published on its own one day.
 *
 * @example
 * const cloud = openStack(await loadCloud({cloud: 'mycloud'}))
 * const servers = await cloud.compute.servers()
 */

export type * from './calls.ts'
export {type OpenStack, openStack} from './cloud.ts'
export type {
  AuthSettings,
  AuthType,
  CloudConfig,
  Interface,
  ProxySettings,
  ServiceSettings,
} from './config.ts'
export {isOfSession, OpenStackError, type OpenStackFault} from './errors.ts'
export {type LoadOptions, loadCloud} from './load.ts'
export {isRecord} from './merge.ts'
export {checkedRows} from './network.ts'
export type {NetworkTraits} from './network-traits.ts'
export type {OpenStackOptions} from './options.ts'
export {proxyOf} from './proxy.ts'
export {reasonOf} from './reason.ts'
export type * from './types.ts'
