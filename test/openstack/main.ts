import {down, site, status, up} from './cloud.ts'
import {dir, netns} from './place.ts'

/* npm run openstack -- up [--ovn] | down | status: a real OpenStack on this machine. scripts/openstack starts this. */

const [verb, ...flags] = process.argv.slice(2)
const limit = 15 * 60_000
const say = (line: string) => process.stderr.write(`${line}\n`)

process.on('uncaughtException', error => {
  say(`error: ${error.message}\nhint: what is there stays for a look; npm run openstack -- down ends it`)
  process.exit(1)
})
if (verb === 'up') {
  setTimeout(() => {
    throw new Error('not up within 15 minutes')
  }, limit).unref()
  const started = performance.now()
  const {backend, servers} = await up(flags.includes('--ovn') ? 'ovn' : 'ovs', say)
  const seconds = ((performance.now() - started) / 1000).toFixed(0)
  say(`up in ${seconds} s: ${backend === 'ovn' ? 'OVN' : 'ML2/OVS'}, ${servers.length} machines.
  OS_SSH_TEST_CLOUD=openstack npm run e2e        # the end-to-end tests on it
  nsenter --net=/run/netns/${netns} env OS_CLIENT_CONFIG_FILE=${site()?.clouds_yaml} OS_CLOUD=tenant1 bash
  npm run openstack -- down`)
} else if (verb === 'down') {
  say((await down()) ? 'down' : 'there was nothing')
} else if (verb === 'status') {
  const {state, backend, dead, processes, memory, agents, servers} = await status()
  process.stdout.write(
    [
      `${state}${backend === undefined ? '' : ` (${backend})`}, ${processes} processes, ${memory} MiB, state in ${dir}`,
      ...dead.map(name => `dead: ${name}`),
      ...agents,
      ...servers,
      '',
    ].join('\n'),
  )
  process.exitCode = state === 'up' ? 0 : 1
}
process.exit()
