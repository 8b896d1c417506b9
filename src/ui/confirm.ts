import type {Questions} from '../conversation.ts'
import {OsSshError} from '../errors.ts'
import {INTERRUPTED} from './faults.ts'

/** Whether the user wants it: `sure` says so already. @throws OsSshError USAGE where nobody can be asked */
export async function confirmed(ask: Questions, question: string, sure: boolean): Promise<boolean> {
  if (sure) return true
  if (ask.confirm === undefined)
    throw new OsSshError('USAGE', 'nobody can be asked here whether this is meant', {
      hint: 'if it is: the same with --yes',
    })
  return ask.confirm(question)
}

/** Asks for the passphrase of an export, unless OS_SSH_PASSPHRASE says it. @throws OsSshError USAGE where nobody can be asked */
export const passphraseOf =
  ({passphrase}: Questions, env: NodeJS.ProcessEnv) =>
  async (first: boolean): Promise<string> => {
    const said = env['OS_SSH_PASSPHRASE']
    if (said) return said
    if (passphrase === undefined)
      throw new OsSshError('USAGE', 'nobody can be asked here for the passphrase of the file', {
        hint: 'set OS_SSH_PASSPHRASE',
      })
    return passphrase(first, 'the file')
  }

/** Who presses Ctrl-C is told what goes on without them. @returns what takes that away again */
export function onInterrupt(line: string): () => void {
  const end = () => {
    process.stderr.write(`\nos-ssh: ${line}\n`)
    process.exit(INTERRUPTED)
  }
  process.once('SIGINT', end)
  return () => process.off('SIGINT', end)
}
