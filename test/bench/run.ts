import {parseArgs} from 'node:util'

import {testCloud} from '../support/site.ts'
import {attach} from './attach.ts'
import {embedded} from './embedded.ts'
import {gates} from './gates.ts'
import {load} from './load.ts'
import {localgw} from './localgw.ts'
import {localgwScale} from './localgw-scale.ts'
import {type Bench, type Measured, row} from './measure.ts'
import {rss} from './rss.ts'
import {service} from './service.ts'
import {snat} from './snat.ts'
import {ssh} from './ssh.ts'
import {start} from './start.ts'

/* npm run bench [-- --only NAME…] [--json]: paired runs on one cloud, medians, ratios. */

const {values, positionals} = parseArgs({
  options: {only: {type: 'string', multiple: true}, json: {type: 'boolean'}, runs: {type: 'string'}},
  allowPositionals: true,
})
const wanted = [...(values.only ?? []), ...positionals]
const onLab = testCloud === 'lab'
/** All the others know the lab's machines, or need no cloud. */
const usual: readonly Bench[] = onLab ? [start, ssh, service, snat] : [attach]
/** These take minutes: only when they are named. */
const groups: readonly Bench[] = onLab
  ? [...usual, load, rss, gates, embedded, localgwScale]
  : [...usual, gates, localgw]
const known = groups.flatMap(group => group.names)
const unknown = wanted.filter(name => !known.includes(name))
if (unknown.length > 0) {
  process.stderr.write(
    `no benchmark ${unknown.join(', ')} on this cloud (${testCloud}); there are: ${known.join(', ')}\n`,
  )
  process.exit(64)
}
const results: Measured[] = []
for (const group of groups) {
  const names = group.names.filter(
    name => (wanted.length === 0 && usual.includes(group)) || wanted.includes(name),
  )
  if (names.length > 0) results.push(...(await group.run(names, Number(values.runs ?? 15))))
}
if (values.json) process.stdout.write(`${JSON.stringify(results, null, 2)}\n`)
else {
  const lines = [['name', 'ours', 'baseline', 'ratio', 'aim', 'runs'], ...results.map(row)]
  const widths = [0, 1, 2, 3, 4, 5].map(n => Math.max(...lines.map(line => line[n]?.length ?? 0)))
  for (const line of lines)
    process.stdout.write(
      `${line.map((text, n) => (n === 0 ? text.padEnd(widths[0] ?? 0) : text.padStart(widths[n] ?? 0))).join('  ')}\n`,
    )
}
process.exit()
