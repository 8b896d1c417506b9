import {OpenStackError} from '../../openstack/index.ts'
import type {ServiceContext} from '../context.ts'
import {fail} from '../endings.ts'
import {cloudFault} from '../faults.ts'
import {attachment, pendingBy} from '../store/attachments.ts'
import {gate as gateById} from '../store/gates.ts'
import {livePathsBy} from '../store/paths.ts'
import type {PathRow} from '../store/schema.ts'
import {plug, portJob} from './attachments.ts'
import type {Gates} from './gates.ts'

/** Lets the path's attachment be plugged if it needs it, and the gate take it in. */
export function provision(
  context: ServiceContext,
  gates: Gates,
  row: Pick<PathRow, 'attachment_id' | 'gate_id'>,
): void {
  context.jobs.once(portJob(row.attachment_id), () => plugIn(context, gates, row.attachment_id))
  void gates.wake(row.gate_id)
}

async function plugIn(context: ServiceContext, gates: Gates, attachmentId: string): Promise<void> {
  const {db, account} = context
  const row = await attachment(db, attachmentId)
  const gate = row && (await gateById(db, row.gate_id))
  if (row === undefined || gate === undefined || row.state === 'removing') return
  try {
    if (await account.retry(() => plug(context, row, gate))) await gates.wake(gate.id)
  } catch (error) {
    // Where the port was lost and the network is gone too, the active paths are dead; otherwise they are not touched.
    const dead = row.state === 'wanted' && error instanceof OpenStackError && error.fault === 'not-found'
    const {admitted, waiting} = await pendingBy(db, [row])
    // Those for whom the port is as it must be do not wait for this.
    const pending = row.state === 'wanted' ? [...admitted, ...waiting] : waiting
    const concerned = dead ? await livePathsBy(db, [row.id]) : pending
    const fault = cloudFault(error, 'the gate could not be plugged into the network of the VM')
    const ids = concerned.map(path => path.id)
    gates.wakeFor(await fail(context, ids, fault))
  }
}
