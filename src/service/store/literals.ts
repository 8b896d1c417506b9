import {sql} from 'kysely'

import {LIVE, lifecycle, type PathPhase} from './lifecycle.ts'
import type {Store} from './open.ts'

/*
 * What partial indexes of `paths` are about (migrations.ts), as literals: SQLite's planner cannot know that a parameter is the
 * same, and would read all paths that there ever were. A test asks it how it goes about each query.
 */

/** For `where('paths.state', '<>', RELEASED)`: paths whose alias and account are nobody else's. */
export const RELEASED = sql.lit<PathPhase>('released')

const states = (some: readonly PathPhase[]) =>
  sql<PathPhase>`(${sql.join(some.map(state => sql.lit(state)))})`

/** For `where('paths.state', 'in', LIVE_STATES)`. */
export const LIVE_STATES = states(LIVE)

/** For `where('paths.state', 'in', OVER)`, with RELEASED: over, and still with alias and account. */
export const OVER = states([...lifecycle.path.cut.from, lifecycle.path.cut.to])

/** For `where('paths.state', '=', …)`. */
export const PENDING = sql.lit<PathPhase>('pending')
export const REQUESTED = sql.lit<PathPhase>('requested')

/** With RELEASED: the gate has not acknowledged the path as it is. */
export const CHANGED = sql<boolean>`version <> applied`

/** For `where('alias', '<>', NOTHING)`, with RELEASED, and the same of login: it has its place. */
export const NOTHING = sql.lit('')

/** Paths whose alias and account are nobody else's, to be asked on. */
export const held = (db: Store) => db.selectFrom('paths').where('paths.state', '<>', RELEASED)

/** Those of them that take their place on a gate. */
export const live = (db: Store) => held(db).where('paths.state', 'in', LIVE_STATES)
