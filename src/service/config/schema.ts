import {type TProperties, type TSchema, Type} from 'typebox'

import {isRange} from '../../names/ranges.ts'
import {parseMirror} from '../deploy/packages/mirror.ts'
import {LISTEN, NUMBERS} from './settings.ts'

/* What the configuration file may say. Each value's `description` ends the sentence "VALUE is not …". */

const optional = <T extends TSchema>(schema: T) => Type.Optional(schema)

/** A whole number. */
function number(minimum: number, maximum?: number) {
  const range = maximum === undefined ? `from ${minimum}` : `from ${minimum} to ${maximum}`
  return optional(
    Type.Integer({
      minimum,
      // Above it two numbers may look the same.
      maximum: maximum ?? Number.MAX_SAFE_INTEGER,
      description: `a whole number ${range}`,
    }),
  )
}

const text = (description: string, check: (value: string) => boolean) =>
  Type.Refine(Type.String({description}), check)

const flag = optional(Type.Boolean({description: 'true or false'}))
const path = (description: string) => optional(text(description, value => /^[^\0]+$/.test(value)))
/** What a cloud may call a thing. */
const named = text(
  'a name or id: text, so with quotes around a number',
  value => /^(?! )\P{C}{1,255}$/u.test(value) && !value.endsWith(' '),
)
const choice = (values: readonly string[]) =>
  optional(Type.String({description: `one of ${values.join(', ')}`, enum: values}))
const list = (items: TSchema, description: string, minItems = 1) =>
  optional(Type.Array(items, {description, minItems, maxItems: 64}))

const numbers = Object.fromEntries(
  Object.entries(NUMBERS).map(([key, setting]) => [
    key,
    number(setting.min, 'max' in setting ? setting.max : undefined),
  ]),
)

const section = (properties: TProperties) =>
  Type.Object(properties, {additionalProperties: false, description: 'a mapping of settings'})

const gates = section({
  automatic: flag,
  max: number(0, 1000),
  per_zone: number(1, 1000),
  per_project: number(1, 1000),
  min: number(0, 1000),
  zones: list(
    text('the name of an availability zone', value => /^[^\p{C}\s:,][^\p{C}:,]{0,254}$/u.test(value)),
    'a list of availability zones',
  ),
  idle: number(0, 365 * 86_400),
  scope: choice(['project', 'shared']),
  image: optional(named),
  flavor: optional(named),
  network: optional(named),
  external: optional(named),
  address: choice(['floating', 'direct', 'ipv6']),
  boot: choice(['cloud-config', 'script']),
  allow: list(
    text('an address range such as 192.0.2.0/24 or "2001:db8::/32"', isRange),
    'a list of address ranges, at least one',
  ),
  mirrors: list(
    text('HOST, HOST:PORT or "[IPv6]:PORT"', value => parseMirror(value) !== undefined),
    'a list of hosts',
    0,
  ),
  boot_timeout: number(30, 3600),
  silence: number(30, 86_400),
})

export const FileSchema = section({
  os_cloud: optional(text('the name of a cloud of clouds.yaml', value => /^[^\p{C}]+$/u.test(value))),
  state: path('the path of a directory'),
  database: path('a SQLite file or a postgres:// URL'),
  management_key: path('the path of a private key'),
  listen: optional(
    text('HOST:PORT or unix:PATH', value => LISTEN.test(value) || /^unix:[^\0]+$/.test(value)),
  ),
  admin_projects: list(
    text('the id of a project', value => /^[0-9a-zA-Z_-]{1,64}$/.test(value)),
    'a list of ids of projects',
    0,
  ),
  plain_http: flag,
  ...numbers,
  gates: optional(gates),
})
