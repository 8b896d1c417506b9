import {Flags} from '@oclif/core'

import {abandon, type Beginning, beginInit, carryOut} from '../src/access/init.ts'
import type {Session} from '../src/access/session.ts'
import {plain} from '../src/names/plain.ts'
import {confirmed, onInterrupt} from '../src/ui/confirm.ts'
import {planLines} from '../src/ui/gates.ts'
import {CloudCommand, choice} from './base.ts'

const GOES_ON =
  'the service goes on with what has begun: os-ssh init waits for it, os-ssh destroy takes it away'

export default class Init extends CloudCommand {
  static override summary = 'make a gate of your own in your project, so that ssh reaches all its VMs'
  static override description =
    'With a member’s rights and nothing else: the gate is a small VM of your project, and the service that cares for it runs on this ' +
    'machine while it is needed. What will be made is shown first. Again, it shows that all is there, or goes on where it was stopped; ' +
    'os-ssh destroy takes all of it away.'
  static override examples = [
    '$ os-ssh init',
    '$ os-ssh init --os-cloud mycloud --yes',
    '$ os-ssh init --allow-from auto --flavor m1.tiny',
  ]

  static override flags = {
    yes: Flags.boolean({char: 'y', description: 'do not ask'}),
    gates: Flags.integer({description: 'so many gates', default: 1, min: 1, max: 16}),
    'allow-from': Flags.string({
      description:
        'who may reach port 22 of the gates; auto: this machine, as a gate sees it; may be repeated',
      helpValue: 'CIDR|auto',
      multiple: true,
      defaultHelp: async () => 'everybody, by keys only',
    }),
    beside: Flags.boolean({description: 'though the project has gates of somebody else'}),
    image: choice('image'),
    flavor: choice('flavor'),
    network: choice('network that the gates stand in'),
    external: choice('external network of their floating IPs'),
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(Init)
    const {yes, 'allow-from': allow, ...wish} = flags
    await this.inSession(flags, async session => {
      const beginning = await beginInit(session, {...wish, allow})
      if (!(await this.#isMeant(session, beginning, yes))) return abandon(session)
      const stop = onInterrupt(GOES_ON)
      const gates = await carryOut(session, beginning).finally(stop)
      const names = gates.map(({name, host}) => `${plain(name)} (${plain(host)})`).join(', ')
      const there = beginning.plan === undefined ? 'there already' : 'ready'
      this.logToStderr(`${names} ${gates.length > 1 ? 'are' : 'is'} ${there}`)
      this.logToStderr('Next: os-ssh list, os-ssh connect VM; for plain ssh: os-ssh config --write')
    })
  }

  async #isMeant(session: Session, {plan, wish}: Beginning, sure: boolean): Promise<boolean> {
    if (plan === undefined) return true
    process.stderr.write(planLines(plan))
    const {allow = ['everywhere']} = wish
    const whom = allow[0] === 'auto' ? 'this machine alone, once it is ready' : allow.map(plain).join(', ')
    this.logToStderr(`Port 22 will be open to ${whom}, for keys only.`)
    const what = plan.count > 1 ? `${plan.count} gates` : 'this gate'
    return confirmed(session.ask, `Make ${what} in your project?`, sure)
  }
}
