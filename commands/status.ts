import {serviceStatus} from '../src/access/status.ts'
import {plain} from '../src/names/plain.ts'
import {gateLoad} from '../src/ui/gates.ts'
import {outputFlags, render, renderOne} from '../src/ui/output.ts'
import {CloudCommand} from './base.ts'

export default class Status extends CloudCommand {
  static override summary = 'where your SSH service is, and how its gates are'
  static override examples = ['$ os-ssh status', '$ os-ssh status -f json']
  static override flags = {...outputFlags}

  async run(): Promise<void> {
    const {flags} = await this.parse(Status)
    const status = await this.inSession(flags, serviceStatus)
    const {service, gates} = status
    if (flags.format === 'json' || flags.format === 'yaml')
      return renderOne(
        status,
        [
          {name: 'service', title: 'service'},
          {name: 'gates', title: 'gates'},
        ],
        flags,
      )
    const {endpoint, version, since, project_name, kind} = service
    this.logToStderr(
      `${kind} service ${plain(version)} at ${plain(endpoint)}, since ${plain(since)}, in project ${plain(project_name)}`,
    )
    await render(gates, gateLoad(service.limits), flags, {empty: 'It has no gate that serves you.'})
  }
}
