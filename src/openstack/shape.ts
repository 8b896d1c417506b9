import {isIP} from 'node:net'

import {OpenStackError} from './errors.ts'
import {isRecord, type Settings} from './merge.ts'

/** Says whether a value is what the API reference promises. */
export type Rule = (value: unknown) => boolean

/** UUIDs, and the 32 to 64 hexadecimal digits of Keystone; nothing that could be a path, an option or a shell word. */
export const id: Rule = value =>
  typeof value === 'string' && /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$/.test(value)
export const address: Rule = value => typeof value === 'string' && isIP(value) !== 0
export const mac: Rule = value => typeof value === 'string' && /^[0-9A-Fa-f:.-]{0,64}$/.test(value)
export const text: Rule = value => typeof value === 'string'
/** What operators choose for ids of flavors: words with spaces between them. */
export const chosenId: Rule = value => typeof value === 'string' && /^[\w.-]+( +[\w.-]+)*$/.test(value)
export const number: Rule = value => typeof value === 'number'
export const count: Rule = value => Number.isSafeInteger(value) && (value as number) >= 0
export const boolean: Rule = value => typeof value === 'boolean'
export const time: Rule = value => typeof value === 'string' && !Number.isNaN(Date.parse(value))
export const oneOf =
  (...words: readonly string[]): Rule =>
  value =>
    typeof value === 'string' && words.includes(value)
export const cidr: Rule = value => {
  if (typeof value !== 'string') return false
  const [ip = '', length = '', ...rest] = value.split('/')
  return (
    rest.length === 0 &&
    isIP(ip) !== 0 &&
    /^\d{1,3}$/.test(length) &&
    Number(length) <= (isIP(ip) === 4 ? 32 : 128)
  )
}
export const orNull =
  (rule: Rule): Rule =>
  value =>
    value === null || rule(value)
/** An empty text is how Neutron writes "none" (device_id, host). */
export const orEmpty =
  (rule: Rule): Rule =>
  value =>
    value === '' || rule(value)
export const listOf =
  (rule: Rule): Rule =>
  value =>
    Array.isArray(value) && value.every(rule)
export const mapOf =
  (rule: Rule): Rule =>
  value =>
    isRecord(value) && Object.values(value).every(rule)
export const object =
  (rules: Rules): Rule =>
  value =>
    isRecord(value) && misfit(value, rules) === undefined

/** Fields that must hold what they promise where they are; a field may be absent (`fields`, roles, releases). */
export type Rules = Readonly<Record<string, Rule>>

function misfit(value: Settings, rules: Rules): string | undefined {
  return Object.keys(rules).find(key => value[key] !== undefined && !rules[key]?.(value[key]))
}

/**
 * The value as T, its identifying fields checked: these go into URLs, firewall rules and files. `what` names it.
 *
 * @throws OpenStackError `server`
 */
export function checked<T>(service: string, what: string, value: Settings, rules: Rules): T {
  const field = misfit(value, rules)
  if (field === undefined) return value as T
  const shown = JSON.stringify(value[field])?.slice(0, 100)
  throw new OpenStackError(
    'server',
    `the ${service} service gave a ${what} whose ${field} makes no sense: ${shown}`,
    {service},
  )
}
