import {OsSshError} from '../../../errors.ts'
import {chooseFlavor} from './flavor.ts'
import {chooseImage} from './image.ts'
import {listed, quoted} from './named.ts'
import {chooseWay} from './network.ts'
import type {DeployPlan, Named, Wish} from './plan.ts'
import {quotaFor} from './quota.ts'
import type {Seen} from './seen.ts'

/**
 * What gates are to be made of, by what was seen and what is wished; the same for the same facts, whatever their order. The
 * zone is Nova's to choose unless one is wished.
 *
 * @throws OsSshError with one sentence: USAGE (what is named is not there), AMBIGUOUS, QUOTA, NO_GATE (nothing fits)
 */
export function choose(seen: Seen, wish: Wish): DeployPlan {
  const count = wish.count ?? 1
  if (!Number.isSafeInteger(count) || count < 1)
    throw new OsSshError('USAGE', `${count} is no number of gates`, {hint: 'one or more: --count'})
  const image = chooseImage(seen, wish.image)
  const {flavor, volume} = chooseFlavor(seen, image, wish.flavor)
  const {network, subnet, address} = chooseWay(seen, wish)
  const zone = wish.zone === undefined ? undefined : zoneIn(seen, wish.zone)
  return {
    image: brief(image),
    flavor: brief(flavor),
    ...(volume !== undefined && {volume}),
    network,
    ...(subnet && {subnet: subnet.id}),
    address,
    ...(zone !== undefined && {zone}),
    count,
    quota: quotaFor(seen, {flavor, address, count}),
  }
}

function zoneIn({zones}: Seen, word: string): string {
  if (zones.includes(word)) return word
  const there = listed(zones.map(zone => ({id: zone, name: zone})))
  throw new OsSshError('USAGE', `there is no availability zone ${quoted(word)}; there are: ${there}`, {
    hint: 'name one of them: --az',
  })
}

const brief = ({id, name}: Named): Named => ({id, name: name || id})
