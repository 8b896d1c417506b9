import {OsSshError} from '../../../errors.ts'
import type {ServiceContext} from '../../context.ts'
import type {GateAddress} from '../../gates/connection.ts'
import {withPackageProxy} from './proxy.ts'
import {INSTALL_MS, renderPackages} from './render.ts'

/**
 * The gate has nft and conntrack. Most images lack one of them, and a gate may have no way to the internet: its packages
 * come by the management connection.
 *
 * @param mirrors what may be reached besides public addresses
 * @throws OsSshError GATE_DOWN, HOST_KEY; CLOUD_REFUSED when they cannot be installed
 */
export async function installPackages(
  {connect, log}: Pick<ServiceContext, 'connect' | 'log'>,
  address: GateAddress,
  mirrors: readonly string[],
): Promise<void> {
  const link = connect(address, () => {})
  try {
    const has = await link.run('command -v nft >/dev/null && command -v conntrack >/dev/null')
    if (has.status === 0) return
    log.info({host: address.host}, 'a gate gets its packages')
    const {status, stderr} = await withPackageProxy(link, mirrors, port =>
      link.run(renderPackages(port), undefined, INSTALL_MS),
    )
    if (status !== 0)
      throw new OsSshError('CLOUD_REFUSED', `nftables and conntrack cannot be installed: ${stderr.trim()}`)
  } finally {
    link.close()
  }
}
