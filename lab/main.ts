import {parseArgs} from 'node:util'

import {labDown, labNames, labStatus, labUp} from './index.ts'

/* npm run lab -- up | down | status: a small cloud of network namespaces on this machine. scripts/lab starts this. */

const say = (line: string) => process.stderr.write(`${line}\n`)
process.on('uncaughtException', error => {
  say(`error: ${error.message}`)
  process.exit(1)
})
const {positionals, values} = parseArgs({
  allowPositionals: true,
  options: {
    name: {type: 'string', default: 'lab'},
    port: {type: 'string', default: '5100'},
    'ssh-endpoint': {type: 'string'},
  },
})
const [verb] = positionals
const {name} = values
if (!/^\d{1,5}$/.test(values.port)) throw new Error(`--port ${JSON.stringify(values.port)} is no port`)
if (verb === 'up') {
  const endpoint = values['ssh-endpoint']
  const info = await labUp({
    name,
    port: Number(values.port),
    ...(endpoint === undefined ? {} : {sshEndpoint: endpoint}),
    log: say,
  })
  say(`up: ${info.gates.map(gate => `${gate.name} at ${gate.host}`).join(', ')}; management key ${info.management_key}
  export OS_CLIENT_CONFIG_FILE=${info.clouds_yaml} OS_CLOUD=tenant1   # or tenant2, service, admin, …
  npm run lab -- down${name === 'lab' ? '' : ` --name ${name}`}`)
} else if (verb === 'down') {
  say((await labDown({name})).removed ? `lab ${name} is gone` : `there was no lab ${name}`)
} else if (verb === 'status') {
  const all = await Promise.all((await labNames()).map(one => labStatus({name: one})))
  if (all.length === 0) say('There is no lab.')
  for (const one of all)
    process.stdout.write(
      `${one.name}: ${one.state}, ${one.processes} processes${one.info ? `, ${one.info.api}` : ''}\n`,
    )
  process.exitCode = all.every(one => one.state === 'up') ? 0 : 1
}
