import {OsSshError} from '../errors.ts'
import {noteTaken} from './store/instance.ts'
import type {Store} from './store/open.ts'

/** The copy of a service that this is: the last one runs the gates, and those before it have stopped. */
export class Copy {
  readonly id: string
  readonly #db: Store
  #takenBy: string | undefined

  constructor(db: Store, {id, takenBy}: {readonly id: string; readonly takenBy?: string | undefined}) {
    this.#db = db
    this.id = id
    this.#takenBy = takenBy
  }

  /** Who runs the gates instead; undefined: we do. */
  get takenBy(): string | undefined {
    return this.#takenBy
  }

  /** Whether we run the gates. @throws OsSshError MOVED with who does */
  mustRun(): void {
    if (this.#takenBy !== undefined) throw this.#fault(this.#takenBy)
  }

  /** A gate says that somebody else has taken over. @returns what whoever needs it is told */
  async taken(by: string): Promise<OsSshError> {
    const who = by || 'somebody else'
    this.#takenBy = who
    await noteTaken(this.#db, who)
    return this.#fault(who)
  }

  #fault(who: string): OsSshError {
    return new OsSshError('MOVED', `the gates of this service are run by ${who} now`)
  }
}
