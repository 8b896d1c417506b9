import {isRecord} from './merge.ts'

/** What clouds.yaml says of a network, under openstacksdk's names (its "Network Config"). */
export interface NetworkTraits {
  /** Or its id. */
  readonly name: string
  /** Its addresses are reached from outside of the cloud. */
  readonly routes_ipv4_externally: boolean
  readonly routes_ipv6_externally: boolean
  /** Floating IPs are for addresses on it. */
  readonly nat_destination: boolean
  /** Servers are to be reached on it. */
  readonly default_interface: boolean
}

/**
 * The list `networks` of a cloud.
 *
 * @param fail makes the error to throw of a sentence and the setting that is wrong
 */
export function networkTraits(
  value: unknown,
  fail: (sentence: string, ...path: string[]) => Error,
): NetworkTraits[] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) throw fail('networks is not a list', 'networks')
  return value.map((entry: unknown) => {
    const name = isRecord(entry) ? entry['name'] : undefined
    if (!isRecord(entry) || typeof name !== 'string' || name === '')
      throw fail('an entry of networks needs a name', 'networks')
    const both = entry['routes_externally']
    return {
      name,
      routes_ipv4_externally: truthy(entry['routes_ipv4_externally'] ?? both),
      routes_ipv6_externally: truthy(entry['routes_ipv6_externally'] ?? both),
      nat_destination: truthy(entry['nat_destination']),
      default_interface: truthy(entry['default_interface']),
    }
  })
}

/** As openstacksdk reads it (`get_boolean`): true, and the word. */
const truthy = (value: unknown) => /^true$/i.test(String(value ?? ''))
