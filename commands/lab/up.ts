import {Flags} from '@oclif/core'

import {labUp} from '../../src/lab/index.ts'
import {type Column, outputFlags, renderOne} from '../../src/ui/output.ts'
import {BaseCommand} from '../base.ts'

type Row = Awaited<ReturnType<typeof labUp>>

const columns: readonly Column<Row>[] = [
  {name: 'name', title: 'Name'},
  {name: 'api', title: 'API'},
  {name: 'ssh_endpoint', title: 'SSH service'},
  {name: 'clouds_yaml', title: 'clouds.yaml'},
  {name: 'management_key', title: 'Management key'},
  {name: 'external_cidr', title: 'External network'},
  {name: 'gates', title: 'Gates', get: row => row.gates.map(gate => `${gate.name} ${gate.host}`)},
  {name: 'servers', title: 'Servers', get: row => row.servers.map(server => server.name)},
]

export default class LabUp extends BaseCommand {
  static override summary = 'start a small cloud of network namespaces on this machine (root, Linux)'
  static override description =
    'It lives in the network namespace that it is started in and adds one device there, the way to its external network.'
  static override examples = ['$ os-ssh lab up --name demo --port 5100']
  static override flags = {
    name: Flags.string({description: 'several labs live side by side', default: 'lab'}),
    port: Flags.integer({
      description: 'of the API on 127.0.0.1; 0 takes any',
      default: 5100,
      min: 0,
      max: 65534,
    }),
    'ssh-endpoint': Flags.string({
      description: 'URL of the SSH service in the catalog (default: the next port)',
    }),
    snat: Flags.boolean({description: 'also routers of every SNAT mode, on paper'}),
    ...outputFlags,
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(LabUp)
    const endpoint = flags['ssh-endpoint']
    const info = await labUp({
      name: flags.name,
      port: flags.port,
      snat: flags.snat,
      ...(endpoint === undefined ? {} : {sshEndpoint: endpoint}),
      log: line => this.logToStderr(line),
    })
    await renderOne(info, columns, flags)
  }
}
