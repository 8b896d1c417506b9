import {readFileSync} from 'node:fs'

import type {PathGrant} from '../../src/protocol/index.ts'
import {generateKeyPair} from '../../src/ssh/keys.ts'
import {startPostgres} from '../support/postgres.ts'
import {World} from '../support/world.ts'
import {ALL_ACCOUNTS, fill, targets, UNLIMITED, untilThere} from './fill.ts'
import {type Bench, type Measured, measured} from './measure.ts'

/* The service under load, everything on one machine: many users' keys, VMs on three networks, limits out of the way. */

const AT_ONCE = 100
/** Grants that are measured, and paths that are there meanwhile where it is about few, and about many. */
const [GRANTS, FEW, MANY] = [300, 50, 5000]
/** Paths of a whole state that is sent, against so many times what a small one takes. */
const [SMALL, TIMES] = [1000, 10]

export const load: Bench = {
  names: ['load', 'load-grants', 'load-grants-pg', 'load-growth', 'load-resync', 'load-revoke'],
  async run(names) {
    const wants = (name: string) => names.includes('load') || names.includes(name)
    const results: Measured[] = []
    if (wants('load-grants-pg')) {
      const postgres = startPostgres({durable: true})
      try {
        results.push(await inWorld(['--database', postgres.url], tester => tester.grants('load-grants-pg')))
      } finally {
        postgres.stop()
      }
    }
    if (['load-grants', 'load-growth', 'load-revoke'].some(wants))
      await inWorld([], async tester => {
        if (wants('load-grants')) results.push(await tester.grants('load-grants'))
        if (wants('load-growth')) results.push(await tester.growth())
        if (wants('load-revoke')) results.push(await tester.revoke())
      })
    // It begins with fewer paths than those leave.
    if (wants('load-resync')) results.push(await inWorld([], tester => tester.resync()))
    return results
  },
}

async function inWorld<T>(flags: readonly string[], work: (tester: Tester) => Promise<T>): Promise<T> {
  const world = await World.open('bench-load', {flags: [...UNLIMITED, ...flags]})
  try {
    const tester = new Tester(world)
    await tester.prepare()
    return await work(tester)
  } finally {
    await world.close()
  }
}

class Tester {
  readonly #world: World
  readonly #tokens = new Map<string, string>()
  #paths = 0

  constructor(world: World) {
    this.#world = world
  }

  /** One path by each network, so that all attachments stand. */
  async prepare(): Promise<void> {
    for (const [user] of targets)
      this.#tokens.set(user, (await (await this.#world.cloud(user)).identity.token()).id)
    for (const n of targets.keys()) await this.#grant(n)
  }

  /** Paths until there are so many, without grants. */
  async #fill(count: number): Promise<void> {
    if (count <= this.#paths) return
    await fill(this.#world, count)
    this.#paths = count
  }

  async grants(name: string): Promise<Measured> {
    const {seconds, took, cpu} = await this.#many(GRANTS)
    const p99_ms = Math.round([...took].sort((a, b) => a - b)[Math.floor(took.length * 0.99)] ?? 0)
    return {...measured(name, 'grants/s', [GRANTS / seconds]), p99_ms, cpu_ms: cpu / GRANTS, at_once: AT_ONCE}
  }

  /** CPU of the service for a grant with many paths there, against few. */
  async growth(): Promise<Measured> {
    const grantWith = async (paths: number) => {
      await this.#fill(paths)
      // Of a service that has just started the first grants cost more than all later ones.
      await this.#many(AT_ONCE)
      return (await this.#many(GRANTS)).cpu / GRANTS
    }
    const [few, many] = [await grantWith(FEW), await grantWith(MANY)]
    return {...measured('load-growth', 'ms CPU', [many], [few]), paths: MANY}
  }

  async revoke(): Promise<Measured> {
    await this.#fill(MANY)
    for (const n of targets.keys()) await this.#grant(n)
    const took: number[] = []
    for (let n = 0; n < 7; n++) {
      const {id} = await this.#grant(n)
      const begun = performance.now()
      await this.#world.api(targets[n % 3]?.[0] ?? '', 'DELETE', `/v1/paths/${id}`, undefined, 204)
      took.push(performance.now() - begun)
      this.#paths--
    }
    return {...measured('load-revoke', 'ms', took), paths: this.#paths}
  }

  /** The whole state, of as many paths as a gate takes, against ten times what a tenth of them takes. */
  async resync(): Promise<Measured> {
    const [small, many] = [await this.#resync(SMALL), await this.#resync(ALL_ACCOUNTS)]
    return {...measured('load-resync', 's', [many], [TIMES * small]), paths: ALL_ACCOUNTS, small_s: small}
  }

  /** So many paths on a gate that has forgotten everything, accounts included, and the service's start, s. */
  async #resync(count: number): Promise<number> {
    await this.#fill(count)
    await this.#world.stopService('SIGKILL')
    await this.#world.onGate(`nft flush ruleset; rm -rf /etc/os-ssh /run/os-ssh
      for n in /run/netns/os-ssh-*; do ip -n "\${n##*/}" link set nic netns 1 name "back\${n##*-}"; ip netns del "\${n##*/}"; done
      for file in passwd shadow; do grep -v ^osp "/etc/$file" >"/etc/$file.new"; cat "/etc/$file.new" >"/etc/$file"; done`)
    const begun = performance.now()
    await this.#world.startService('service')
    await untilThere(this.#world, count)
    return (performance.now() - begun) / 1000
  }

  async #many(count: number) {
    const [begun, before, took] = [performance.now(), this.#cpu(), [] as number[]]
    let left = count
    const one = async () => {
      while (left-- > 0) took.push((await this.#grant(left)).took)
    }
    await Promise.all(Array.from({length: AT_ONCE}, one))
    return {seconds: (performance.now() - begun) / 1000, took, cpu: this.#cpu() - before}
  }

  async #grant(n: number): Promise<{id: string; took: number}> {
    const [user, name] = targets[n % targets.length] as (typeof targets)[number]
    const {publicKey} = generateKeyPair('load')
    const begun = performance.now()
    const answer = await fetch(`${this.#world.site.ssh_endpoint}/v1/paths`, {
      method: 'POST',
      headers: {'x-auth-token': this.#tokens.get(user) ?? '', 'content-type': 'application/json'},
      body: JSON.stringify({server_id: this.#world.server(name), public_key: publicKey}),
    })
    const {id, ...rest} = (await answer.json()) as PathGrant
    if (answer.status !== 201) throw new Error(`grant: ${answer.status} ${JSON.stringify(rest)}`)
    this.#paths++
    return {id, took: performance.now() - begun}
  }

  /** CPU that the service has used, ms. */
  #cpu(): number {
    const stat = readFileSync(`/proc/${this.#world.servicePid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // proc(5): utime and stime, in ticks of 10 ms.
    return (Number(fields[11]) + Number(fields[12])) * 10
  }
}
