import {spawnSync} from 'node:child_process'

import type {Bench, Measured} from './measure.ts'

/** A cloud of 10,000 routers and 100,000 ports, read by a process of its own so that its memory is its own. */
export const snat: Bench = {
  names: ['snat-10k'],
  async run() {
    const script = new URL('snat-10k.ts', import.meta.url).pathname
    const {status, stdout} = spawnSync(process.execPath, [script], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    if (status !== 0) throw new Error('snat-10k failed')
    return [JSON.parse(stdout) as Measured]
  },
}
