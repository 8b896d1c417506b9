import {gather, isPartial, type SnatCloud} from '../snat/facts.ts'
import {pick} from '../snat/pick.ts'
import type {Read} from '../snat/read.ts'
import type {Sharing} from './desired.ts'
import {type Proposal, propose} from './proposal.ts'

/**
 * `snat plan`: what local gateways would change for one router.
 * @throws OpenStackError, OsSshError NOT_FOUND and AMBIGUOUS
 */
export async function readProposal(
  {network, at}: SnatCloud,
  word: string,
  sharing?: Sharing,
): Promise<Read<Proposal>> {
  const facts = await gather(network, {availabilities: true, at})
  const {id} = pick('router', word, facts.routers)
  return {answer: propose(facts, id, sharing), partial: isPartial(facts)}
}
