import {OsSshError} from '../../errors.ts'
import {hostKeysFromConsole} from '../../ssh/console.ts'
import {parsePublicKey} from '../../ssh/keys.ts'
import {template} from '../../system/template.ts'
import type {ServiceContext} from '../context.ts'
import {noteMachine} from '../store/machines.ts'
import type {MachineRow} from '../store/schema.ts'
import {publicKeyOf} from './user-data.ts'

type Context = Pick<ServiceContext, 'db' | 'cloud' | 'connect' | 'log'>

/** By its own console this is not what was booted. */
export class AnotherHost extends OsSshError {
  constructor() {
    super('HOST_KEY', 'the console of the gate shows another host key than it was booted with')
  }
}

/** Of the console, what a boot says at its end. */
const CONSOLE_LINES = 400

/** The account that the boot data opens. */
export const LOGIN = 'root'

const newHostKey = template('gate/new-host-key.sh.eta')
const takeHostKey = template('gate/take-host-key.sh.eta')

/**
 * The first contact: pinned to the key that came with the boot data, whose first act is to have the host make another one,
 * since the metadata service tells the former to whoever is on the machine (the way of Juju). The new one is written down before the
 * host uses it, so that this may be cut off anywhere.
 *
 * @returns the host key to pin from now on, `type base64`
 * @throws OsSshError GATE_DOWN while it does not answer, HOST_KEY when somebody else does
 */
export async function firstContact(context: Context, row: MachineRow, host: string): Promise<string> {
  const {first_key, next_key} = row
  if (next_key !== null && (await letsIn(context, host, next_key))) return next_key
  if (first_key === null) throw new OsSshError('HOST_KEY', 'the gate has another host key than it had made')
  const link = context.connect({host, port: 22, login: LOGIN, hostKey: publicKeyOf(first_key)}, () => {})
  try {
    // Who has the key of the boot data is let in; whether it is our server is asked before anything is done there.
    const met = await link.run(':').catch((error: unknown) => error)
    const isWrong = met instanceof OsSshError && met.code === 'HOST_KEY'
    // Whoever it is that answers: the console may know better.
    if (isWrong || !(met instanceof Error)) await confirmByConsole(context, row)
    if (met instanceof Error) throw met
    const made = await link.run(newHostKey({}))
    const key = made.status === 0 ? ed25519(made.stdout) : undefined
    if (key === undefined)
      throw new OsSshError('GATE_DOWN', `the gate makes no host key: ${made.stderr.trim().slice(-300)}`)
    await noteMachine(context.db, row.id, {next_key: key})
    const taken = await link.run(takeHostKey({}))
    if (taken.status !== 0)
      throw new OsSshError('GATE_DOWN', `the gate keeps its host key: ${taken.stderr.trim().slice(-300)}`)
    if (await letsIn(context, host, key)) return key
    throw new OsSshError('GATE_DOWN', 'the gate does not show the host key that it has made')
  } finally {
    link.close()
  }
}

/** Is it a host with this key that answers, and lets us in? @throws OsSshError GATE_DOWN */
export async function letsIn(
  context: Pick<Context, 'connect'>,
  host: string,
  hostKey: string,
): Promise<boolean> {
  const link = context.connect({host, port: 22, login: LOGIN, hostKey}, () => {})
  try {
    await link.run(':')
    return true
  } catch (error) {
    if (error instanceof OsSshError && error.code === 'HOST_KEY') return false
    throw error
  } finally {
    link.close()
  }
}

function ed25519(line: string): string | undefined {
  try {
    const {type, blob} = parsePublicKey(line.trim())
    return type === 'ssh-ed25519' ? `${type} ${blob.toString('base64')}` : undefined
  } catch {
    return undefined
  }
}

/**
 * Says the console, where it says anything, that the host has the key of its boot data?
 *
 * @throws OsSshError HOST_KEY when it shows another one: this is not what was booted
 */
async function confirmByConsole({cloud, log}: Context, row: MachineRow): Promise<void> {
  if (row.first_key === null || row.next_key !== null || row.server_id === null) return
  const text = await cloud.compute.consoleLog(row.server_id, CONSOLE_LINES).catch(err => {
    log.info({err, gate: row.name}, 'the console log cannot be read')
    return ''
  })
  const shown = hostKeysFromConsole(text).filter(key => key.startsWith('ssh-ed25519 '))
  if (shown.length > 0 && !shown.includes(publicKeyOf(row.first_key))) throw new AnotherHost()
}
