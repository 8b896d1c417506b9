import {setTimeout as sleep} from 'node:timers/promises'

import {OsSshError} from '../../errors.ts'
import {hostKeysFromConsole} from '../../ssh/console.ts'
import {parsePublicKey} from '../../ssh/keys.ts'
import {template} from '../../system/template.ts'
import type {GateLink, ServiceContext} from '../context.ts'
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

/** So long sshd has to come back with the new key, and how often it is asked, ms. */
const [BACK_MS, BACK_POLL_MS] = [3000, 50]

/** The account that the boot data opens. */
export const LOGIN = 'root'

const newHostKey = template('gate/new-host-key.sh.eta')
const takeHostKey = template('gate/take-host-key.sh.eta')

/** A host that has let us in. */
export interface Contact {
  /** To pin from now on, `type base64`. */
  readonly hostKey: string
  /** Is open; whoever gets it closes it. */
  readonly link: GateLink
}

/**
 * The first contact: pinned to the key that came with the boot data, whose first act is to have the host make another one,
 * since the metadata service tells the former to whoever is on the machine (the way of Juju). The new one is written down before the
 * host uses it, so that this may be cut off anywhere.
 *
 * @throws OsSshError GATE_DOWN while it does not answer, HOST_KEY when somebody else does
 */
export async function firstContact(context: Context, row: MachineRow, host: string): Promise<Contact> {
  const {first_key, next_key} = row
  const known = next_key === null ? undefined : await enter(context, host, next_key)
  if (known !== undefined) return known
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
    return await comeBack(context, host, key)
  } finally {
    link.close()
  }
}

/** Its sshd starts anew with the key that it has made. @throws OsSshError GATE_DOWN when it does not show that in time */
async function comeBack(context: Context, host: string, hostKey: string): Promise<Contact> {
  for (let waited = 0; ; waited += BACK_POLL_MS) {
    const isLast = waited >= BACK_MS
    const contact = await enter(context, host, hostKey).catch(error => {
      const isDown = error instanceof OsSshError && error.code === 'GATE_DOWN'
      if (isLast || !isDown) throw error
      return undefined
    })
    if (contact !== undefined) return contact
    if (isLast) throw new OsSshError('GATE_DOWN', 'the gate does not show the host key that it has made')
    await sleep(BACK_POLL_MS)
  }
}

/** @returns undefined when who answers has another key. @throws OsSshError GATE_DOWN */
async function enter(
  {connect}: Pick<Context, 'connect'>,
  host: string,
  hostKey: string,
): Promise<Contact | undefined> {
  const link = connect({host, port: 22, login: LOGIN, hostKey}, () => {})
  try {
    await link.run(':')
    return {hostKey, link}
  } catch (error) {
    link.close()
    if (error instanceof OsSshError && error.code === 'HOST_KEY') return undefined
    throw error
  }
}

/** Is it a host with this key that answers, and lets us in? @throws OsSshError GATE_DOWN */
export async function letsIn(
  context: Pick<Context, 'connect'>,
  host: string,
  hostKey: string,
): Promise<boolean> {
  const contact = await enter(context, host, hostKey)
  contact?.link.close()
  return contact !== undefined
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
