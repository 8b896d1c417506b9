import {OsSshError} from '../../errors.ts'
import type {ServiceContext} from '../context.ts'
import type {Store} from './open.ts'
import type {Which} from './paths.ts'

/** How long nothing new is granted after an operator's revocation, ms: longer than a validated token is believed. */
export const BAR_MS = 60_000

const kinds = {user_id: 'user', server_id: 'vm', project_id: 'project'} as const

const entries = (which: Which) =>
  Object.entries(which).flatMap(([column, value]: [string, string | undefined]) =>
    value === undefined ? [] : [{kind: kinds[column as keyof Which], value}],
  )

/** Bars new grants for these, on every replica. @param now epoch ms */
export async function bar(db: Store, which: Which, now: number): Promise<void> {
  await db.deleteFrom('bars').where('until', '<=', now).execute()
  for (const entry of entries(which))
    await db
      .insertInto('bars')
      .values({...entry, until: now + BAR_MS})
      .execute()
}

/** @throws OsSshError DENIED when one of these is barred */
export async function refuseBarred(
  {db, clock}: Pick<ServiceContext, 'db' | 'clock'>,
  which: Which,
): Promise<void> {
  const now = clock()
  const barred = await db
    .selectFrom('bars')
    .select('until')
    .where('until', '>', now)
    .where(e =>
      e.or(entries(which).map(({kind, value}) => e.and([e('kind', '=', kind), e('value', '=', value)]))),
    )
    .orderBy('until', 'desc')
    .executeTakeFirst()
  if (barred !== undefined)
    throw new OsSshError('DENIED', 'an operator has just revoked the paths of this user, VM or project', {
      hint: `new ones are granted again in ${Math.ceil((barred.until - now) / 1000)} s, if Keystone still says so`,
    })
}

/** What is barred now. @param now epoch ms */
export async function barred(db: Store, now: number): Promise<Which[]> {
  const rows = await db
    .selectFrom('bars')
    .select(['kind', 'value'])
    .distinct()
    .where('until', '>', now)
    .execute()
  return rows.map(({kind, value}) => {
    if (kind === 'user') return {user_id: value}
    return kind === 'vm' ? {server_id: value} : {project_id: value}
  })
}
