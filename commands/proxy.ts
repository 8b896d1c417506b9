import {Args} from '@oclif/core'

import {proxy, proxyArguments} from '../src/access/proxy.ts'
import {proxyConversation} from '../src/ui/prompts.ts'
import {BaseCommand} from './base.ts'

/** For help and bin/dev.js: bin/run.js answers `proxy` before oclif is loaded. */
export default class ProxyCommand extends BaseCommand {
  static override summary = 'carry a connection to a VM through its gate, as ssh’s ProxyCommand'
  static override examples = ['ProxyCommand os-ssh proxy mycloud 3f2a7c1e-0000-4000-8000-000000000001']
  static override args = {
    cloud: Args.string({description: 'cloud of clouds.yaml', required: true}),
    vm: Args.string({description: 'UUID', required: true}),
    keychain: Args.string({description: 'system, agent or file'}),
  }

  async run(): Promise<void> {
    await proxy(proxyArguments(this.argv), proxyConversation())
  }
}
