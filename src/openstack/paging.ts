import type {Filter} from './calls.ts'
import {type Call, json, nonsense} from './failure.ts'
import {isRecord, type Settings} from './merge.ts'
import type {HttpAnswer} from './transport.ts'

/** Apache and many proxies take request lines of 8190 bytes; the endpoint's path needs some of it. */
const longestQuery = 7000

/** A filter as a query; one whose list is too long for a URL becomes several, whose answers belong together. */
export function queries(filter: Filter): string[] {
  const query = encode(filter)
  if (query.length <= longestQuery) return [query]
  const [key, list] = longestList(filter)
  if (!key || list.length < 2) return [query]
  const half = Math.ceil(list.length / 2)
  return [list.slice(0, half), list.slice(half)].flatMap(part => queries({...filter, [key]: part}))
}

function longestList(filter: Filter): [string, readonly string[]] {
  let found: [string, readonly string[]] = ['', []]
  for (const [key, value] of Object.entries(filter)) {
    // Split, `fields` would make half objects.
    if (key !== 'fields' && typeof value === 'object' && value.length > found[1].length) found = [key, value]
  }
  return found
}

function encode(filter: Filter): string {
  const query = new URLSearchParams()
  for (const [key, value] of Object.entries(filter)) {
    if (value === undefined) continue
    for (const item of typeof value === 'object' ? value : [value]) query.append(key, String(item))
  }
  return query.size > 0 ? `?${query}` : ''
}

/**
 * The entries of one page, and the query of the next. Of the link to it only the query is used, on the address we
 * already have: services behind a proxy give links with another scheme or host, and no link shall carry the token there.
 *
 * @throws OpenStackError `server`
 */
export function pageOf(
  call: Call,
  answer: HttpAnswer,
  key: string,
): {entries: Settings[]; next: string | undefined} {
  const value = json(call, answer)
  if (!isRecord(value) || !Array.isArray(value[key])) throw nonsense(call, `it has no list of ${key}`, answer)
  const entries: unknown[] = value[key]
  if (!entries.every(isRecord)) throw nonsense(call, `an entry of ${key} is not an object`, answer)
  return {entries, next: entries.length > 0 ? queryOf(call, nextLink(value, key)) : undefined}
}

/** Nova and Neutron: `<key>_links`; Glance: `next`; Keystone: `links.next`. */
function nextLink(page: Settings, key: string): unknown {
  const links = page[`${key}_links`]
  if (Array.isArray(links)) return links.filter(isRecord).find(link => link['rel'] === 'next')?.['href']
  if (isRecord(page['links'])) return page['links']['next']
  return page['next']
}

function queryOf(call: Call, link: unknown): string | undefined {
  if (link === undefined || link === null) return undefined
  if (typeof link !== 'string' || !URL.canParse(link, call.url.href))
    throw nonsense(call, 'its link to the next page is no URL')
  return new URL(link, call.url).search
}
