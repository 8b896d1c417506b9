import {template} from '../../../system/template.ts'

/** How long the installation of packages may take, and of that waiting for another one on the gate (cloud-init's), s. */
const INSTALL_S = 300
const PATIENCE_S = 60
/** The same with what surrounds it, ms: for the connection that it is run by. */
export const INSTALL_MS = (INSTALL_S + 15) * 1000

let packages: ReturnType<typeof template> | undefined

/**
 * The script that installs nft and conntrack where they are missing. It ends with 0 when they are there, else with the last lines
 * of the log on standard error.
 *
 * @param port of a proxy on the gate's loopback; without it by the gate's own network
 */
export function renderPackages(port?: number): string {
  if (port !== undefined && !(Number.isInteger(port) && port > 0 && port < 65_536))
    throw new TypeError(`refusing to render port ${port}`)
  packages ??= template('gate/packages.sh.eta')
  return packages({
    seconds: INSTALL_S,
    patience: PATIENCE_S,
    proxy: port === undefined ? '' : `http://127.0.0.1:${port}`,
  })
}
