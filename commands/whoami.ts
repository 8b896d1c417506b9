import {type Me, whoAmI} from '../src/access/listing.ts'
import {type Column, outputFlags, renderOne} from '../src/ui/output.ts'
import {CloudCommand} from './base.ts'

const names = [
  'cloud',
  'user',
  'user_id',
  'project',
  'roles',
  'token_expires_at',
  'service',
  'keychain',
  'public_key',
]
const columns: readonly Column<Me>[] = names.map(name => ({name, title: name}))

export default class Whoami extends CloudCommand {
  static override summary = 'show who you are to the cloud and to the gates'
  static override examples = ['$ os-ssh whoami', '$ os-ssh whoami -f value -c public_key']
  static override flags = {...outputFlags}

  async run(): Promise<void> {
    const {flags} = await this.parse(Whoami)
    const me = await this.inSession(flags, whoAmI)
    await renderOne(me, columns, flags)
  }
}
