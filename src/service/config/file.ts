import {readFile} from 'node:fs/promises'
import {homedir} from 'node:os'
import {dirname, join, resolve} from 'node:path'

import type {TSchema} from 'typebox'
import Value from 'typebox/value'
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml'

import {OsSshError} from '../../errors.ts'
import {closest} from '../../names/closest.ts'
import {plain, shortened} from '../../names/plain.ts'
import {type GatesConfig, gatesConfig} from '../deploy/config.ts'
import {isPostgres} from '../store/open.ts'
import {FileSchema} from './schema.ts'
import type {ServiceFile, Settings} from './settings.ts'

/** Where a fault is, as an offset into the text, and what it is. */
interface Fault {
  readonly at: number
  readonly sentence: string
}

type Content = Readonly<Record<string, unknown>>

/** What is read of a schema of schema.ts. */
interface Shape {
  readonly description?: string
  readonly properties?: Readonly<Record<string, TSchema>>
  readonly items?: TSchema
  readonly minItems?: number
  readonly maxItems?: number
  readonly enum?: readonly string[]
}

/** The file as it is spelled. */
type Spelled = Settings & {
  readonly gates?: Content
}

/**
 * Reads the configuration file of the service. Paths in it are relative to its own directory; `~/` is the home directory.
 *
 * @throws OsSshError CONFIG with every fault of the file, a line each: `FILE:LINE: sentence`
 */
export async function readServiceFile(path: string): Promise<ServiceFile> {
  const text = await readFile(path, 'utf8').catch(cause => {
    throw new OsSshError('CONFIG', `${path} cannot be read: ${(cause as Error).message}`, {cause})
  })
  const {gates, ...file} = parse(text, path)
  const folder = dirname(resolve(path))
  const place = (name: string) =>
    name.startsWith('~/') ? join(homedir(), name.slice(2)) : resolve(folder, name)
  const {state, management_key, database} = file
  const isFile = database !== undefined && database !== ':memory:' && !isPostgres(database)
  return {
    ...file,
    ...(state === undefined ? {} : {state: place(state)}),
    ...(management_key === undefined ? {} : {management_key: place(management_key)}),
    ...(isFile ? {database: place(database)} : {}),
    ...(gates === undefined ? {} : {gates: camelCase(gates)}),
  }
}

const camelCase = (gates: Content) =>
  Object.fromEntries(
    Object.entries(gates).map(([key, value]) => [
      key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
      value,
    ]),
  ) as Partial<GatesConfig>

function parse(text: string, path: string): Spelled {
  const lines = new LineCounter()
  const document = parseDocument(text, {lineCounter: lines, logLevel: 'silent', prettyErrors: false})
  const faults = [...document.errors, ...document.warnings].map(
    ({pos, code, message}): Fault => ({
      at: pos[0],
      sentence: code === 'DUPLICATE_KEY' ? 'this key is there already' : plain(message),
    }),
  )
  // Of a text that is no YAML, what was made of it is a guess; a key that is there twice leaves no doubt about the others.
  const sound = document.errors.every(({code}) => code === 'DUPLICATE_KEY')
  const content = sound && document.contents !== null ? new Walk(document, faults).content() : {}
  if (faults.length === 0) return content as Spelled
  const said = faults
    .sort((a, b) => a.at - b.at)
    .map(({at, sentence}) => `${path}:${lines.linePos(at).line}: ${sentence}`)
  throw new OsSshError('CONFIG', [...new Set(said)].join('\n'), {
    hint: 'every key is described in docs/service-config.md',
  })
}

/** Goes through a document beside the schema: each node knows its place, and one fault does not hide another. */
class Walk {
  readonly #document: Document
  readonly #faults: Fault[]

  constructor(document: Document, faults: Fault[]) {
    this.#document = document
    this.#faults = faults
  }

  content(): Content {
    const root = this.#document.contents
    const content = this.#value(root, FileSchema, '', 0) as Content | undefined
    const gates = content?.['gates']
    if (gates !== undefined) this.#agree(gates as Content)
    return content ?? {}
  }

  /** @param near the place of what it belongs to, for a value that is not there */
  #value(node: unknown, schema: TSchema, path: string, near: number): unknown {
    const value = isAlias(node) ? node.resolve(this.#document) : node
    const at = placeOf(node, near)
    const {properties, items, description, enum: choices = []} = schema as Shape
    const wrong = (more = '') => this.#fault(at, path, `${shown(value)} is not ${description}${more}`)
    if (properties !== undefined) return isMap(value) ? this.#mapping(value, properties, path) : wrong()
    if (items !== undefined) return isSeq(value) ? this.#list(value, schema, path, at) : wrong()
    const scalar = isScalar(value) ? value.value : undefined
    if (Value.Check(schema, scalar)) return scalar
    return wrong(typeof scalar === 'string' ? didYouMean(closest(scalar, choices)) : '')
  }

  #mapping({items}: YAMLMap, properties: Readonly<Record<string, TSchema>>, path: string): Content {
    const entries = items.flatMap(({key, value}) => {
      const name = isScalar(key) ? String(key.value) : String(key)
      const at = placeOf(key, 0)
      const known = Object.hasOwn(properties, name) ? properties[name] : undefined
      if (known !== undefined)
        return [[name, this.#value(value, known, path === '' ? name : `${path}.${name}`, at)]]
      const near = closest(name, Object.keys(properties))
      this.#fault(at, path, `there is no key ${quoted(name)}${didYouMean(near)}`)
      return []
    })
    return Object.fromEntries(entries)
  }

  #list(list: YAMLSeq, schema: TSchema, path: string, at: number): unknown {
    const {items = {}, minItems = 0, maxItems = 0, description} = schema as Shape
    if (list.items.length < minItems) this.#fault(at, path, `an empty list is not ${description}`)
    if (list.items.length > maxItems) this.#fault(at, path, `more than ${maxItems} of them are too many`)
    return list.items.map((item, n) => this.#value(item, items, `${path}[${n}]`, at))
  }

  /** Numbers that are right each, and not together. */
  #agree(gates: Content): void {
    const {min, max, perZone, zones} = gatesConfig(camelCase(gates))
    const at = placeOf(this.#document.getIn(['gates', 'min'], true), 0)
    if (min > perZone) this.#fault(at, 'gates.min', `${min} in a zone are more than per_zone (${perZone})`)
    const kept = min * (zones?.length ?? 1)
    if (kept > max) this.#fault(at, 'gates.min', `${kept} gates in all zones are more than max (${max})`)
  }

  #fault(at: number, path: string, sentence: string): void {
    this.#faults.push({at, sentence: path === '' ? sentence : `${path}: ${sentence}`})
  }
}

const placeOf = (node: unknown, otherwise: number) =>
  (isNode(node) ? node.range?.[0] : undefined) ?? otherwise
const quoted = (text: string) => JSON.stringify(shortened(text, 80))
const didYouMean = (near: string | undefined) => (near === undefined ? '' : `; did you mean ${near}?`)

function shown(value: unknown): string {
  if (isMap(value)) return 'a mapping'
  if (isSeq(value)) return 'a list'
  if (!isScalar(value) || value.value === null) return 'nothing'
  return typeof value.value === 'string' ? quoted(value.value) : plain(String(value.value))
}
