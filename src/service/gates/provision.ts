import {OsSshError} from '../../errors.ts'
import {OpenStackError} from '../../openstack/index.ts'
import type {ServiceContext} from '../context.ts'
import {fail} from '../endings.ts'
import {cloudFault} from '../faults.ts'
import {attachment, pendingBy} from '../store/attachments.ts'
import {gate as gateById} from '../store/gates.ts'
import {livePathsBy} from '../store/paths.ts'
import {plug, portJob} from './attachments.ts'

/**
 * Has an attachment plugged, or its port changed, by a job of its own. Only the holder of the gate's lease may.
 *
 * @param changed called when the gate has something to do with it
 */
export function provision(context: ServiceContext, attachmentId: string, changed: () => void): void {
  context.jobs.once(portJob(attachmentId), () => plugIn(context, attachmentId, changed))
}

async function plugIn(context: ServiceContext, attachmentId: string, changed: () => void): Promise<void> {
  const {db, account} = context
  const row = await attachment(db, attachmentId)
  const gate = row && (await gateById(db, row.gate_id))
  if (row === undefined || gate === undefined || row.state === 'removing') return
  try {
    if (await account.retry(() => plug(context, row, gate))) changed()
  } catch (error) {
    // What the database says is no fault of the cloud, and a port that another replica makes is its to care for.
    if (error instanceof OsSshError && ['SERVICE_DOWN', 'BUSY'].includes(error.code)) throw error
    // Where the port was lost and the network is gone too, the active paths are dead; otherwise they are not touched.
    const dead = row.state === 'wanted' && error instanceof OpenStackError && error.fault === 'not-found'
    const {admitted, waiting} = await pendingBy(db, [row])
    // Those for whom the port is as it must be do not wait for this.
    const pending = row.state === 'wanted' ? [...admitted, ...waiting] : waiting
    const concerned = dead ? await livePathsBy(db, [row.id]) : pending
    const fault = cloudFault(error, 'the gate could not be plugged into the network of the VM')
    const ids = concerned.map(path => path.id)
    if ((await fail(context, ids, fault)).length > 0) changed()
  }
}
