import type {Gate} from '../../src/protocol/index.ts'
import {inventory} from './inventory.ts'
import {eventually, type Result} from './run.ts'
import type {World} from './world.ts'

/** What a gate may take to be made, healed or deleted on these clouds, ms. */
export const PATIENCE_MS = 240_000

/** The gates that a service makes itself, as its operator sees them and their cloud. */
export class FleetView {
  readonly world: World
  readonly #before: readonly string[]

  private constructor(world: World, before: readonly string[]) {
    this.world = world
    this.#before = before
  }

  /** Remembers what the service's project has now. */
  static async open(world: World): Promise<FleetView> {
    return new FleetView(world, await inventory(await world.cloud('service')))
  }

  /** `os-ssh gate …` of the operator. */
  cli(...words: string[]): Promise<Result> {
    return this.world.cli('service', ['gate', ...words], {timeout: PATIENCE_MS})
  }

  async all(): Promise<Gate[]> {
    return (await this.world.api<{gates: Gate[]}>('service', 'GET', '/v1/gates', undefined, 200)).gates
  }

  /** Those that are there to stay. */
  async live(): Promise<Gate[]> {
    return (await this.all()).filter(({state}) => state !== 'deleting' && state !== 'failed')
  }

  /** The only one. @throws Error when there is none, or another one */
  async one(): Promise<Gate> {
    const [one, ...more] = await this.live()
    if (one === undefined || more.length > 0) throw new Error(JSON.stringify([one, ...more]))
    return one
  }

  /** Makes one. @throws Error when that fails */
  async deploy(...words: string[]): Promise<Gate> {
    const {stdout, stderr, status} = await this.cli('deploy', '--shared', '-f', 'json', ...words)
    if (status !== 0) throw new Error(`gate deploy: ${status} ${stderr}`)
    const [gate] = JSON.parse(stdout) as Gate[]
    if (gate?.state !== 'ready') throw new Error(stdout)
    return gate
  }

  /** Waits for a gate to be as wanted; @returns it, or all there are when it does not come to be */
  async until(good: (gate: Gate) => boolean, timeout = PATIENCE_MS): Promise<Gate | readonly Gate[]> {
    const all = await eventually(
      () => this.all(),
      gates => gates.some(good),
      timeout,
    )
    return all.find(good) ?? all
  }

  /** What the project has that it had not at the beginning, and `- …` for what it has lost; waits for there to be nothing. */
  async left(timeout = 60_000): Promise<readonly string[]> {
    const cloud = await this.world.cloud('service')
    const look = async () => {
      const now = await inventory(cloud)
      const lost = this.#before.filter(line => !now.includes(line)).map(line => `- ${line}`)
      return [...now.filter(line => !this.#before.includes(line)), ...lost]
    }
    return eventually(look, lines => lines.length === 0, timeout)
  }

  /** Deletes all gates. @returns what is left of them: nothing */
  async clear(): Promise<readonly string[]> {
    for (const {id} of await this.live())
      await this.world.api('service', 'DELETE', `/v1/gates/${id}`, undefined, 202)
    return this.left(PATIENCE_MS)
  }

  /** A quota of the service's project, by the administrator; kept until it is set again. */
  async quota(what: 'instances' | 'floatingip', limit: number): Promise<void> {
    const [admin, service] = await Promise.all([this.world.cloud('admin'), this.world.cloud('service')])
    const project = (await service.identity.token()).project?.id
    const nova = what === 'instances'
    const base = nova
      ? `${await admin.endpoint('compute')}/os-quota-sets`
      : `${(await admin.endpoint('network'))?.replace(/\/(v2\.0\/?)?$/, '')}/v2.0/quotas`
    const answer = await fetch(`${base}/${project}`, {
      method: 'PUT',
      headers: {
        'x-auth-token': (await admin.identity.token()).id,
        'content-type': 'application/json',
      },
      body: JSON.stringify({[nova ? 'quota_set' : 'quota']: {[what]: limit}}),
    })
    if (!answer.ok) throw new Error(`quota: ${answer.status} ${await answer.text()}`)
  }
}
