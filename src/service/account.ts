import {type OpenStack, OpenStackError} from '../openstack/index.ts'

/** What stays refused is no reason to log in again all the time, ms. */
const RENEW_MS = 5000

/** The service's own account, as far as its rights may change while it is logged in. */
export class Account {
  readonly #cloud: OpenStack
  readonly #clock: () => number
  #renewedAt = 0

  constructor(cloud: OpenStack, clock: () => number) {
    this.#cloud = cloud
    this.#clock = clock
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
