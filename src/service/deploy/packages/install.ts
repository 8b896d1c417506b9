import {OsSshError} from '../../../errors.ts'
import type {GateLink, ServiceContext} from '../../context.ts'
import {withPackageProxy} from './proxy.ts'
import {INSTALL_MS, renderPackages} from './render.ts'

/**
 * The gate has nft and conntrack. Most images lack one of them, and a gate may have no way to the internet: its packages
 * come by the management connection.
 *
 * @param name the gate's, for the log
 * @param mirrors what may be reached besides public addresses
 * @throws OsSshError GATE_DOWN, HOST_KEY; CLOUD_REFUSED when they cannot be installed
 */
export async function installPackages(
  {log}: Pick<ServiceContext, 'log'>,
  link: GateLink,
  name: string,
  mirrors: readonly string[],
): Promise<void> {
  const has = await link.run('command -v nft >/dev/null && command -v conntrack >/dev/null')
  if (has.status === 0) return
  log.info({gate: name}, 'a gate gets its packages')
  const {status, stderr} = await withPackageProxy(link, mirrors, port =>
    link.run(renderPackages(port), undefined, INSTALL_MS),
  )
  if (status !== 0)
    throw new OsSshError('CLOUD_REFUSED', `nftables and conntrack cannot be installed: ${stderr.trim()}`)
}
