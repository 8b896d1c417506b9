import {setTimeout as sleep} from 'node:timers/promises'

import {OpenStackError} from '../../openstack/index.ts'
import {writeAtomic} from '../../system/files.ts'
import {Rounds} from '../../system/rounds.ts'
import {type Desire, desire, type Survey} from '../desire.ts'
import type {Sharing} from '../desired.ts'
import {routerNamespace} from '../names.ts'
import {localRefresh} from '../render.ts'
import {count, metricsText} from './metrics.ts'
import {look, type Seen} from './node.ts'
import {numbers} from './numbers.ts'
import {dropPort, publish} from './ports.ts'
import {probe} from './probe.ts'
import {survey} from './survey.ts'
import {type Errand, Visitor} from './visitor.ts'
import {watchNode} from './watch.ts'
import {Works, type WorksOptions} from './works.ts'

/*
 * The agent of one node. Three loops that do not wait for each other: rounds make what shall be there (level-triggered, with all state
 * found by looking); the refresh says again which VMs are local, for the kernel forgets it; probes ask the external networks' routers.
 */

export interface AgentOptions extends Omit<WorksOptions, 'visitor'> {
  readonly sharing: Sharing
  /** How often Neutron is asked, s. What OVS and the namespaces tell comes beside it. */
  readonly every: number
  /** File for the textfile collector of Prometheus' node exporter. */
  readonly textfile?: string | undefined
}

/** ms: between refreshes of what the kernel forgets after LOCAL_TIMEOUT; between probes; between what is published, for Neutron's database; between counts. */
const [REFRESH, PROBE, PUBLISH, COUNT] = [5000, 1500, 60_000, 15_000]
/** How long what is there at the beginning may take, ms. */
const SETTLING = 30_000
/** A round that takes longer hangs: nobody refreshes for it any more, ms. */
const HANGS = 120_000

export class Agent {
  readonly #options: AgentOptions
  readonly #visitor = new Visitor()
  readonly #rounds = new Rounds(() => this.#round().catch(this.#fault))
  readonly #works: Works
  #survey: Survey | undefined
  #published = 0
  #alive = Date.now()
  #probes = 0
  readonly #begun = Date.now()

  constructor(options: AgentOptions) {
    this.#options = options
    this.#works = new Works({...options, visitor: this.#visitor})
  }

  /** Works until it is told to stop. What it has made stays: the kernel forgets the VMs by itself. */
  async run(signal: AbortSignal): Promise<void> {
    const stopWatching = watchNode(() => void this.#rounds.ask())
    const every = async (pause: number, work: () => Promise<void>) => {
      while (!signal.aborted) {
        await work().catch(this.#fault)
        await sleep(pause, undefined, {signal}).catch(() => undefined)
      }
    }
    await Promise.all([
      every(this.#options.every * 1000, () => this.#rounds.ask()),
      every(REFRESH, () => this.#refresh()),
      every(PROBE, () => this.#probe()),
      ...(this.#options.textfile ? [every(COUNT, () => this.#count(this.#options.textfile ?? ''))] : []),
    ])
    this.#rounds.stop()
    stopWatching()
    this.#visitor.close()
  }

  readonly #fault = (error: unknown) => this.#options.log.error({err: error}, 'it goes on without that')

  async #round(): Promise<void> {
    const alive = () => (this.#alive = Date.now())
    alive()
    const seen = await look(this.#visitor)
    await this.#ask(seen)
    if (this.#survey === undefined) return
    const {host, sharing} = this.#options
    const wanted = desire(this.#survey, host, sharing, await this.#numbers(seen))
    if (await this.#works.round(wanted, seen, alive)) void this.#rounds.ask()
    await this.#refresh()
    await this.#tidy(wanted)
    await this.#publish()
  }

  /** Facts are kept while Neutron does not answer: nothing changes then but on the node. */
  async #ask(seen: Seen): Promise<void> {
    const {network, host, log} = this.#options
    try {
      this.#survey = await survey(network, host, [...seen.routers.keys()])
    } catch (error) {
      if (!(error instanceof OpenStackError)) throw error
      log.warn({err: error}, 'Neutron does not answer: it goes on with what it knows')
    }
  }

  /** At the first time those of an agent before this one. */
  async #numbers(seen: Seen): Promise<ReadonlyMap<string, number>> {
    const {members, legs} = this.#works
    return legs.size === 0 ? numbers(seen) : new Map(members.map(({router, number}) => [router, number]))
  }

  /** Ports that no local gateway has any more. */
  async #tidy({spare}: Desire): Promise<void> {
    const used = new Set([...this.#works.legs.values()].map(leg => leg.port?.id))
    for (const id of spare) if (!used.has(id)) await dropPort(this.#options.network, id)
  }

  async #publish(): Promise<void> {
    const legs = [...this.#works.legs.values()]
    const [port] = legs.flatMap(leg => leg.port?.id ?? []).sort()
    if (port === undefined || Date.now() - this.#published < PUBLISH) return
    const states = legs.flatMap(leg => leg.states())
    // At first it is worth a moment: what is said stands for a minute.
    const isSettling = states.some(([, state]) => state === 'probing')
    if (isSettling && Date.now() - this.#begun < SETTLING) return
    await publish(this.#options.network, port, this.#options.sharing, states)
    this.#published = Date.now()
  }

  /** Says again who is local. Nobody does while a round hangs. */
  async #refresh(): Promise<void> {
    if (Date.now() - this.#alive > HANGS) return
    const told = new Set([...this.#works.legs.values()].flatMap(leg => [...leg.told.keys()]))
    const members = this.#works.members.filter(member => told.has(member.router))
    const visits = await this.#visitor.visit(
      members.map((member): Errand => [routerNamespace(member.router), localRefresh(member)]),
    )
    if (visits.some(visit => visit.error !== undefined)) void this.#rounds.ask()
  }

  async #count(file: string): Promise<void> {
    const legs = [...this.#works.legs.values()]
    const text = metricsText(legs, await count(this.#visitor, legs), Date.now())
    // Others read it, who are not root.
    await writeAtomic(file, text, 0o644)
  }

  async #probe(): Promise<void> {
    const legs = [...this.#works.legs.values()].filter(leg => leg.toldLeg !== undefined)
    if (await probe(legs, this.#probes++, this.#options.log)) await this.#refresh()
  }
}
