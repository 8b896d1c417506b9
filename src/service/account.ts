import {type OpenStack, OpenStackError} from '../openstack/index.ts'

/** What stays refused is no reason to log in again all the time, ms. */
const RENEW_MS = 5000

/** An account that gets no new token has done what only it can do by then, ms before the last one ends. */
const ENDING_MS = 300_000

/** The service's own account, as far as its rights may change while it is logged in. */
export class Account {
  readonly #cloud: OpenStack
  readonly #clock: () => number
  readonly #renews: boolean
  #renewedAt = 0

  /** @param renews whether it can get a new token when one ends */
  constructor(cloud: OpenStack, clock: () => number, renews = true) {
    this.#cloud = cloud
    this.#clock = clock
    this.#renews = renews
  }

  /** Does its last token end in a moment? What is kept for those who come back is given back then. */
  get isEnding(): boolean {
    return this.#endsWithin(ENDING_MS)
  }

  /** Has its last token ended, so that nothing can be done in the cloud until somebody brings another? */
  get hasEnded(): boolean {
    return this.#endsWithin(0)
  }

  #endsWithin(ms: number): boolean {
    return !this.#renews && (this.#cloud.identity.until ?? 0) - this.#clock() < ms
  }

  /** What the cloud refuses is tried again with a new token: a role that the account lacked may have been granted since. */
  async retry<T>(task: () => Promise<T>): Promise<T> {
    try {
      return await task()
    } catch (error) {
      const refused = error instanceof OpenStackError && ['forbidden', 'not-found'].includes(error.fault)
      const now = this.#clock()
      if (!refused || now - this.#renewedAt < RENEW_MS) throw error
      this.#renewedAt = now
      this.#cloud.identity.renew()
      return task()
    }
  }
}

/** Id of the project that the service's account is in, where its gates are; an empty text when it is in none. @throws OpenStackError */
export async function ownProject({identity}: Pick<OpenStack, 'identity'>): Promise<string> {
  return (await identity.token()).project?.id ?? ''
}
