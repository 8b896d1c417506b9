import {OpenStackError} from '../../src/openstack/index.ts'

/* Rows of a cloud in memory, found as Neutron finds its own. */

/** Not properties of a row, but how a listing is shown. */
const SHOWN = new Set(['fields', 'limit'])

/** Does a row fit a filter? A list is any of its values. */
export function matches(row: object, filter: object): boolean {
  return Object.entries(filter).every(([key, wanted]) => {
    if (wanted === undefined || SHOWN.has(key)) return true
    const value = (row as Record<string, unknown>)[key]
    return Array.isArray(wanted) ? wanted.includes(value) : value === wanted
  })
}

/** @throws OpenStackError not-found */
export function picked<T extends {readonly id: string}>(rows: readonly T[], id: string): T {
  const row = rows.find(one => one.id === id)
  if (row === undefined) throw new OpenStackError('not-found', `${id} could not be found.`, {status: 404})
  return row
}
