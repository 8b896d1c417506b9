import {Flags} from '@oclif/core'

import {deployGates} from '../../src/access/fleet.ts'
import {gateColumns, planColumns} from '../../src/ui/gates.ts'
import {outputFlags, render, renderOne} from '../../src/ui/output.ts'
import {CloudCommand, choice} from '../base.ts'

export default class GateDeploy extends CloudCommand {
  static override summary = 'have the service make gates: VMs of its own project'
  static override description =
    'Image, flavor, network, address and zone are chosen by the service; each choice can be overruled, by a name or an id. ' +
    'What does not fit is said before anything is made; --dry-run only says what would be made.'
  static override examples = [
    '$ os-ssh gate deploy --dry-run',
    '$ os-ssh gate deploy --shared --az az2 --count 2',
    '$ os-ssh gate deploy --image debian-12 --flavor m1.tiny --external public',
  ]

  static override flags = {
    ...outputFlags,
    az: Flags.string({description: 'availability zone', helpValue: 'ZONE'}),
    project: Flags.string({
      description: 'the one project that the gate serves; by default the service’s own',
      helpValue: 'PROJECT',
      exclusive: ['shared'],
    }),
    shared: Flags.boolean({description: 'serve every project'}),
    count: Flags.integer({description: 'so many gates', default: 1, min: 1, max: 16}),
    'dry-run': Flags.boolean({description: 'only say what would be made'}),
    wait: Flags.boolean({description: 'wait until they are ready', default: true, allowNo: true}),
    image: choice('image'),
    flavor: choice('flavor'),
    network: choice('network that the gate stands in'),
    external: choice('external network of its floating IP'),
    address: Flags.option({
      description: 'how it is reached',
      helpGroup: 'CHOICE',
      options: ['floating', 'direct', 'ipv6'] as const,
    })(),
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(GateDeploy)
    const {az, project, count, wait, image, flavor, network, external, address} = flags
    const {plan, gates} = await this.inSession(flags, session =>
      deployGates(session, {
        ...{zone: az, project, count, wait, image, flavor, network, external, address},
        scope: flags.shared ? 'shared' : 'project',
        dry_run: flags['dry-run'],
      }),
    )
    if (flags['dry-run']) await renderOne(plan, planColumns, flags)
    else await render(gates, gateColumns, flags, {empty: ''})
  }
}
