import {sql} from 'kysely'

import {LIVE, type PathPhase} from './lifecycle.ts'
import type {Store} from './open.ts'

/*
 * What partial indexes of `paths` are about (migrations.ts), as literals: SQLite's planner cannot know that a parameter is the
 * same, and would read all paths that there ever were. A test asks it how it goes about each query.
 */

/** For `where('paths.state', '<>', RELEASED)`: paths whose alias and account are nobody else's. */
export const RELEASED = sql.lit<PathPhase>('released')

/** For `where('paths.state', 'in', LIVE_STATES)`. */
export const LIVE_STATES = sql<PathPhase>`(${sql.join(LIVE.map(state => sql.lit(state)))})`

/** Paths whose alias and account are nobody else's, to be asked on. */
export const held = (db: Store) => db.selectFrom('paths').where('paths.state', '<>', RELEASED)

/** Those of them that take their place on a gate. */
export const live = (db: Store) => held(db).where('paths.state', 'in', LIVE_STATES)
