import {hostname} from 'node:os'

import {Flags} from '@oclif/core'

import {smallHeap} from '../../src/system/heap.ts'
import {CloudCommand} from '../base.ts'

export default class SnatAgent extends CloudCommand {
  static override summary = 'on a compute node: let VMs without floating IP leave from the node itself'
  static override description =
    'Runs until it is told to stop (SIGINT or SIGTERM), as root, beside Neutron’s own agents: docs/local-gateway.md. ' +
    'When it ends, what is connected goes on, and new connections go by the network node again within 15 s.'
  static override examples = [
    '$ os-ssh snat agent --mode per-router',
    '$ os-ssh snat agent --mode per-node --os-cloud lsnat --dry-run',
    '$ os-ssh snat agent --clean',
  ]

  static override flags = {
    mode: Flags.option({
      options: ['per-router', 'per-node'] as const,
      description: 'an external address for each router and node, or one a node that its routers share',
      exactlyOne: ['mode', 'clean'],
    })(),
    clean: Flags.boolean({description: 'take everything of it off this node, and end'}),
    'dry-run': Flags.boolean({description: 'say what would be done, and end', dependsOn: ['mode']}),
    host: Flags.string({
      description: 'this node, as Neutron’s agents call it',
      defaultHelp: async () => 'its host name',
    }),
    textfile: Flags.string({
      description: 'file for the textfile collector of Prometheus’ node exporter',
      helpValue: 'FILE',
    }),
    every: Flags.integer({description: 'how often Neutron is asked, s', default: 10, min: 1, max: 3600}),
    grace: Flags.integer({
      description:
        'how long what is connected may go on when no VM of a router leaves locally any more, and before --clean, s',
      default: 300,
      min: 0,
    }),
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(SnatAgent)
    const {mode, clean, host = hostname(), every, grace, textfile, 'os-cloud': osCloud} = flags
    smallHeap()
    const {cleanNode, dryRun, runAgent} = await import('../../src/localgw/agent/open.ts')
    if (clean || mode === undefined) return cleanNode({osCloud}, host, grace, line => this.logToStderr(line))
    if (flags['dry-run']) {
      for (const line of await dryRun({osCloud}, {host, sharing: mode})) this.log(line)
      return
    }
    const over = new AbortController()
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => over.abort())
    await runAgent({osCloud}, {host, sharing: mode, every, grace, textfile}, over.signal)
    // Whatever a library still holds open.
    this.exit(0)
  }
}
