import {sql} from 'kysely'

import type {Store} from './open.ts'

/* How many accounts of a gate are given, of all and by project: counted as they are given and given back, not when it is asked. */

/** In this row a gate counts all of them. */
const ALL = ''

/** Counts one more account. @returns how many there are now */
export async function takeOne(tx: Store, gate_id: string, project_id: string): Promise<number> {
  const count = (project: string) =>
    tx
      .insertInto('holdings')
      .values({gate_id, project_id: project, n: 1})
      .onConflict(conflict =>
        conflict.columns(['gate_id', 'project_id']).doUpdateSet({n: sql<number>`holdings.n + 1`}),
      )
      .returning('n')
      .executeTakeFirstOrThrow()
  const {n} = await count(ALL)
  await count(project_id)
  return Number(n)
}

/** Counts accounts that are anybody's again. @param projects whose, once for each */
export async function giveBack(tx: Store, gate_id: string, projects: readonly string[]): Promise<void> {
  if (projects.length === 0) return
  const fewer = [...Map.groupBy(projects, one => one)].map(([one, some]) => [one, some.length] as const)
  for (const [project_id, by] of [[ALL, projects.length] as const, ...fewer])
    await tx
      .updateTable('holdings')
      .set({n: sql<number>`n - ${by}`})
      .where('gate_id', '=', gate_id)
      .where('project_id', '=', project_id)
      .execute()
}

export interface Holding {
  /** Accounts that are given. */
  readonly all: number
  readonly byProject: ReadonlyMap<string, number>
}

/** By gate. */
export async function holdings(db: Store): Promise<ReadonlyMap<string, Holding>> {
  const rows = await db.selectFrom('holdings').selectAll().where('n', '>', 0).execute()
  return new Map(
    [...Map.groupBy(rows, row => row.gate_id)].map(([gate, some]) => {
      const counts = new Map(some.map(row => [row.project_id, Number(row.n)]))
      const all = counts.get(ALL) ?? 0
      counts.delete(ALL)
      return [gate, {all, byProject: counts}]
    }),
  )
}
