import {neutronFault} from '../fault.ts'
import type {Cloud} from '../state.ts'

export type Query = Record<string, string | string[] | undefined>
type Row = Record<string, unknown>

const reserved = new Set(['fields', 'limit', 'marker', 'page_reverse', 'sort_key', 'sort_dir'])
const tagFilters = new Set(['tags', 'tags-any', 'not-tags', 'not-tags-any'])
const values = (value: string | string[] | undefined): string[] => (value === undefined ? [] : [value].flat())

function same(have: unknown, want: string): boolean {
  if (typeof have === 'boolean') return String(have) === want.toLowerCase() || (have ? '1' : '0') === want
  if (have === null || have === undefined) return want === '' || want === 'None'
  return String(have) === want
}

/** `fixed_ips=ip_address=10.0.0.3` and its relatives. */
function fitsAddresses(row: Row, wanted: string[]): boolean {
  const ips = row['fixed_ips'] as {subnet_id: string; ip_address: string}[]
  return wanted.every(want => {
    const [key = '', value = ''] = want.split('=')
    if (key === 'ip_address_substr') return ips.some(ip => ip.ip_address.includes(value))
    return ips.some(ip => (key === 'subnet_id' ? ip.subnet_id : ip.ip_address) === value)
  })
}

function fitsTags(row: Row, key: string, wanted: string[]): boolean {
  const have = (row['tags'] ?? []) as string[]
  const asked = wanted.flatMap(value => value.split(','))
  if (key === 'tags') return asked.every(tag => have.includes(tag))
  if (key === 'tags-any') return asked.some(tag => have.includes(tag))
  if (key === 'not-tags') return !asked.every(tag => have.includes(tag))
  return !asked.some(tag => have.includes(tag))
}

function fits(row: Row, key: string, wanted: string[]): boolean {
  if (tagFilters.has(key)) return fitsTags(row, key, wanted)
  if (key === 'fixed_ips') return fitsAddresses(row, wanted)
  if (key === 'tenant_id') return wanted.some(want => same(row['project_id'] ?? row['tenant_id'], want))
  const have = row[key]
  if (Array.isArray(have)) return wanted.some(want => have.includes(want))
  return wanted.some(want => same(have, want))
}

function compare(a: unknown, b: unknown): number {
  const [x, y] = [String(a ?? ''), String(b ?? '')]
  return x < y ? -1 : x > y ? 1 : 0
}

function sorted(rows: Row[], query: Query): Row[] {
  const keys = [...values(query['sort_key']), 'id']
  const dirs = values(query['sort_dir'])
  return [...rows].sort((a, b) => {
    for (const [at, key] of keys.entries()) {
      const order = compare(a[key], b[key])
      if (order !== 0) return dirs[at] === 'desc' ? -order : order
    }
    return 0
  })
}

/** Cuts a row down to what `fields=` asks for. */
export function cut(row: Row, query: Query): Row {
  const fields = values(query['fields'])
  if (fields.length === 0) return row
  return Object.fromEntries(Object.entries(row).filter(([key]) => fields.includes(key)))
}

/** Throws 400 for a filter that the resource does not have, as the extension filter-validation does. */
function validate(query: Query, known: ReadonlySet<string>): void {
  const bad = Object.keys(query).filter(key => !reserved.has(key) && !tagFilters.has(key) && !known.has(key))
  if (bad.length > 0) {
    const list = `[${bad.map(key => `'${key}'`).join(', ')}]`
    throw neutronFault(400, 'HTTPBadRequest', `${list} is invalid attribute for filtering`)
  }
}

/**
 * Neutron's listing: filters (a repeated key means any of them), sorting, paging with links, and `fields=`.
 * @param rows what the caller may see, with all fields that filters may name
 * @param show cuts a row down to the fields that the caller may see
 */
export function listing(
  cloud: Cloud,
  url: string,
  query: Query,
  plural: string,
  rows: Row[],
  known: ReadonlySet<string>,
  show: (row: Row) => Row,
): Record<string, unknown> {
  validate(query, known)
  const filters = Object.entries(query).filter(([key]) => !reserved.has(key))
  let found = rows.filter(row => filters.every(([key, value]) => fits(row, key, values(value))))
  found = sorted(found, query)
  const links: {rel: string; href: string}[] = []
  const limit = Number(values(query['limit'])[0] ?? 0)
  if (!Number.isInteger(limit) || limit < 0)
    throw neutronFault(
      400,
      'BadRequest',
      `Bad limit request: Limit must be an integer 0 or greater and not '${limit}'.`,
    )
  const marker = values(query['marker'])[0]
  if (marker !== undefined) {
    const at = found.findIndex(row => row['id'] === marker)
    if (at < 0) throw neutronFault(404, 'HTTPNotFound', 'The resource could not be found.')
    found = found.slice(at + 1)
  }
  if (limit > 0) {
    found = found.slice(0, limit)
    const link = (rel: string, id: unknown) => {
      const href = new URL(cloud.url + url)
      if (id === undefined) href.searchParams.delete('marker')
      else href.searchParams.set('marker', String(id))
      if (rel === 'previous') href.searchParams.set('page_reverse', 'True')
      links.push({rel, href: href.href})
    }
    if (found.length === limit) link('next', found.at(-1)?.['id'])
    if (marker !== undefined) link('previous', found[0]?.['id'])
  }
  return {
    [plural]: found.map(row => cut(show(row), query)),
    ...(links.length > 0 ? {[`${plural}_links`]: links} : {}),
  }
}
