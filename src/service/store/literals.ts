import {sql} from 'kysely'

import type {PathPhase} from './lifecycle.ts'

/*
 * What partial indexes of `paths` are about (migrations.ts), as literals: SQLite's planner cannot know that a parameter is the
 * same, and would read all paths that there ever were. A test asks it how it goes about each query.
 */

/** For `where('paths.state', '<>', RELEASED)`: paths whose alias and account are nobody else's. */
export const RELEASED = sql.lit<PathPhase>('released')

/** For `where('paths.state', 'in', LIVE_STATES)`; the states of LIVE. */
export const LIVE_STATES = sql<PathPhase>`('pending', 'active')`
