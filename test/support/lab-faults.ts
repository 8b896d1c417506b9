import type {InjectedFault} from '../../lab/state.ts'
import type {World} from './world.ts'

/** What only the lab can do to a cloud, by its administrator (lab/api/faults.ts). */
export class LabFaults {
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  /** Puts a fault into the cloud's API. */
  async put(fault: InjectedFault): Promise<void> {
    await this.#ask('POST', 'faults', fault)
  }

  /** Takes all faults out again. */
  async clear(): Promise<void> {
    await this.#ask('DELETE', 'faults')
  }

  /** Has each of them been met as often as it was to be? */
  async met(): Promise<boolean> {
    const {faults} = (await this.#ask('GET', 'faults')) as {faults: readonly InjectedFault[]}
    return faults.every(({times}) => times === 0)
  }

  /** Every token that was given out is good for nothing. */
  async expire(): Promise<void> {
    await this.#ask('POST', 'expire')
  }

  async #ask(method: string, path: string, body?: object): Promise<unknown> {
    const token = await this.#world.token('admin')
    const answer = await fetch(`${this.#world.site.api}/lab/${path}`, {
      method,
      headers: {'x-auth-token': token, ...(body && {'content-type': 'application/json'})},
      ...(body && {body: JSON.stringify(body)}),
    })
    if (!answer.ok) throw new Error(`${method} /lab/${path}: ${answer.status} ${await answer.text()}`)
    return answer.status === 204 ? undefined : answer.json()
  }
}
