import {Args, Command, Flags} from '@oclif/core'

import type {Session, SessionOptions} from '../src/access/session.ts'
import {INTERRUPTED, printFault, report} from '../src/ui/faults.ts'
import {conversation} from '../src/ui/prompts.ts'

/** What every command shares: faults end as `error:` and `hint:` lines with the exit status that the catalogue gives them. */
export abstract class BaseCommand extends Command {
  protected override async catch(error: Error & {exitCode?: number; oclif?: {exit?: number}}): Promise<void> {
    // this.exit(): already said.
    if ('code' in error && error.code === 'EEXIT') throw error
    const {translate} = await import('../src/access/faults.ts')
    const fault = report(translate(error))
    if (fault.exit !== INTERRUPTED) await printFault(fault, wantsJson(this.argv))
    this.exit(fault.exit)
  }
}

/** What a VM may be called on the command line. */
export const vmArgument = Args.string({
  description: 'UUID, unique start of it, name, name.project, or address',
  required: true,
})

/** What a gate is made of, where its user says so. */
export const choice = (description: string) =>
  Flags.string({description, helpGroup: 'CHOICE', helpValue: 'NAME'})

/** Where a service keeps what must survive it. */
export const stateWords = {
  description: 'directory of the CA keys and the database',
  env: 'OS_SSH_SERVICE_STATE',
}

export const stateFlag = Flags.string({
  ...stateWords,
  // Not in the manifest: it is another directory for everybody.
  default: async () => (await import('../src/service/config/settings.ts')).usualState(),
  noCacheDefault: true,
})

export interface CloudFlags {
  readonly 'os-cloud'?: string | undefined
  readonly keychain?: string | undefined
}

/** A command that talks to a cloud. */
export abstract class CloudCommand extends BaseCommand {
  static override baseFlags = {
    'os-cloud': Flags.string({
      description: 'cloud of clouds.yaml',
      env: 'OS_CLOUD',
      helpGroup: 'CLOUD',
      helpValue: 'NAME',
    }),
    keychain: Flags.string({
      description: 'where the private key and the token are kept',
      env: 'OS_SSH_KEYCHAIN',
      options: ['system', 'agent', 'file'],
      helpGroup: 'CLOUD',
    }),
  }

  /**
   * Opens the cloud that the flags choose, with the terminal to ask and to tell its user, for as long as `work` takes.
   * @param more what this command opens it with beside that
   */
  protected async inSession<T>(
    flags: CloudFlags,
    work: (session: Session) => Promise<T>,
    more: Partial<SessionOptions> = {},
  ): Promise<T> {
    // Not for `help`, which has no session.
    const {withSession} = await import('../src/access/session.ts')
    const chosen = {cloud: flags['os-cloud'], keychain: flags.keychain}
    return withSession({...chosen, ...conversation(), ...more}, work)
  }
}

/** Looked for in the raw words, because the fault may be in the parsing itself. */
function wantsJson(words: readonly string[]): boolean {
  const own = words.includes('--') ? words.slice(0, words.indexOf('--')) : words
  return own.some(
    (word, index) =>
      ['-fjson', '--format=json'].includes(word) ||
      (/^(-f|--format)$/.test(word) && own[index + 1] === 'json'),
  )
}
