import type {Logger} from 'pino'

import type {Leg} from './leg.ts'
import {answers} from './node.ts'

/** Legs that are asked at once. */
const AT_ONCE = 16
/** Turns until others of those that are not up are asked: as many answers as one needs that had failed. Some may never get one. */
const STAY = 3

/**
 * Asks the external networks' routers: by one leg of each network that is in use, and by those that are not up.
 *
 * @param turn which one, of those in use
 * @returns whether a leg has come up or gone down
 */
export async function probe(legs: readonly Leg[], turn: number, log: Logger): Promise<boolean> {
  const networks = [...Map.groupBy(legs, leg => leg.network).values()]
  const changes = await Promise.all(
    networks.map(async group => {
      const up = group.filter(leg => leg.isUp)
      const silent = group.filter(leg => !leg.isUp)
      const from = (Math.floor(turn / STAY) * AT_ONCE) % Math.max(1, silent.length)
      const down = [...silent.slice(from), ...silent.slice(0, from)].slice(0, AT_ONCE)
      const changed = [...(await silentOf(up, turn)).map(leg => hear(leg, false, log))]
      const news = await Promise.all(down.map(async leg => hear(leg, await asks(leg), log)))
      return [...changed, ...news].includes(true)
    }),
  )
  return changes.includes(true)
}

/** Those that get no answer. One that gets none asks once more, with others: is it the leg, or all of the network? */
async function silentOf(up: readonly Leg[], turn: number): Promise<readonly Leg[]> {
  const one = up[turn % Math.max(1, up.length)]
  if (one === undefined || (await asks(one))) return []
  const some = [one, ...up.filter(leg => leg !== one).slice(0, AT_ONCE - 1)]
  const answered = await Promise.all(some.map(asks))
  return answered.includes(true) ? some.filter((_, index) => !answered[index]) : up
}

async function asks({id, port}: Leg): Promise<boolean> {
  return port !== undefined && (await answers({id, port}))
}

function hear(leg: Leg, isThere: boolean, log: Logger): boolean {
  const changed = leg.heard(isThere)
  if (changed)
    log.info(
      {leg: leg.id},
      leg.isUp ? 'the gateway answers: its VMs leave locally' : 'the gateway is silent: its VMs are central',
    )
  return changed
}
