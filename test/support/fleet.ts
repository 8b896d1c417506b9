import {pino} from 'pino'

import {OsSshError} from '../../src/errors.ts'
import type {ServiceContext} from '../../src/service/context.ts'
import {type GatesConfig, gatesConfig} from '../../src/service/deploy/config.ts'
import type {Making} from '../../src/service/deploy/machine.ts'
import type {Gates} from '../../src/service/gates/gates.ts'
import {machine as machineById, type NewMachine, wantMachines} from '../../src/service/store/machines.ts'
import type {Store} from '../../src/service/store/open.ts'
import type {MachineRow} from '../../src/service/store/schema.ts'
import {fakeApi} from './fake-api.ts'
import type {FakeCloud} from './fake-cloud.ts'
import {clockOf} from './virtual-time.ts'

/* A replica of the service on a cloud in memory, as far as it makes gates. */

export const SERVICE = 'service'
export const self = {id: SERVICE, name: 'the SSH service', project_id: ''}
export const operator = {id: 'op', name: 'op', project_id: 'infra'}
export const isOurs = async () => true

const managementKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA manager'

export interface Replica extends Making {
  /** Gates that were woken, and forgotten. */
  readonly woken: string[]
  readonly dropped: string[]
  /** The address that the gate of a host sees us come from; without one it does not answer. */
  readonly sees: Map<string, string>
  /** Whom the groups admitted when a gate was asked. */
  readonly looks: unknown[][]
  /** Ends when all that was begun beside has ended. */
  settled(): Promise<void>
}

/** @param lease whether it holds the lease of the machines */
export function replica(
  cloud: FakeCloud,
  db: Store,
  config: Partial<GatesConfig> = {},
  lease = true,
): Replica {
  clockOf(cloud)
  const tasks = new Map<string, Promise<void>>()
  const [woken, dropped]: string[][] = [[], []]
  const [sees, looks] = [new Map<string, string>(), [] as unknown[][]]
  const context = {
    ...{
      db,
      cloud: fakeApi(cloud),
      ...{serviceId: SERVICE, by: 'ops on here'},
      clock: () => cloud.now + cloud.skew,
      log: pino({level: 'silent'}),
    },
    ...{connect: cloud.connect, events: {emit: () => undefined}},
    leases: {hold: async () => (lease ? 1 : undefined)},
    jobs: {
      stopped: false,
      once(name: string, task: () => Promise<void>) {
        if (!tasks.has(name))
          tasks.set(
            name,
            task().finally(() => tasks.delete(name)),
          )
      },
      async alone(name: string, task: () => Promise<void>) {
        if (tasks.has(name)) return
        this.once(name, task)
        await tasks.get(name)
      },
    },
  } as unknown as ServiceContext
  const gates = {
    async wake(id: string) {
      woken?.push(id)
      return true
    },
    async drop(id: string) {
      dropped?.push(id)
    },
    wakeFor: () => undefined,
    async seenFrom({host}: {host: string}) {
      // What the group admits while it looks.
      looks.push(cloud.groups.flatMap(group => group.security_group_rules.map(rule => rule.remote_ip_prefix)))
      const seen = sees.get(host)
      if (seen === undefined) throw new OsSshError('GATE_DOWN', 'the gate does not answer')
      return seen
    },
  } as unknown as Gates
  return {
    ...{context, gates, config: gatesConfig(config), managementKey, self},
    ...{sees, looks},
    ...{woken: woken ?? [], dropped: dropped ?? []},
    async settled() {
      while (tasks.size > 0) await Promise.all(tasks.values())
    },
  }
}

/** A machine that is wanted; its id. */
export async function wanted(cloud: FakeCloud, db: Store, given: Partial<NewMachine> = {}): Promise<string> {
  const id = given.id ?? '0a1b2c3d-0000-4000-8000-000000000000'
  const usual = {scope: 'project', serves: null, zone: null, wish: {}, automatic: true} as const
  const row = {...usual, id, name: `gate-${id.slice(0, 6)}`, created_at: cloud.now, ...given}
  await wantMachines(db, [row], () => undefined, self)
  return id
}

/** @throws Error where there is none */
export async function rowOf(db: Store, id: string): Promise<MachineRow> {
  const row = await machineById(db, id)
  if (row === undefined) throw new Error(`there is no machine ${id}`)
  return row
}

/** An empty database again; cheaper than a new one. */
export async function emptied(db: Store): Promise<void> {
  for (const table of ['paths', 'attachments', 'gates', 'machines', 'audit'] as const)
    await db.deleteFrom(table).execute()
}
