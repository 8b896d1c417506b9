import {readFile} from 'node:fs/promises'
import {homedir} from 'node:os'
import {join, resolve} from 'node:path'

import {OpenStackError} from './errors.ts'
import {deepMerge, isRecord, type Settings} from './merge.ts'

/** One cloud's settings as written, before their older names are replaced. */
export interface Found {
  readonly name: string
  readonly settings: Settings
  /** The clouds-public.yaml profile it refers to, if any. */
  readonly profile: Settings
  readonly source?: string
  /** Line of the file where a setting stands (its path within the cloud), else the cloud itself. */
  readonly lineOf?: (...path: string[]) => number | undefined
}

interface Choice {
  readonly cloud: string | undefined
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
}

/** Variables that choose or steer, but describe no cloud. OS_SSH_* are os-ssh's own. */
const selectors =
  /^OS_(CLOUD|CLOUD_NAME|REGION_NAME|CLIENT_CONFIG_FILE|CLIENT_SECURE_FILE|SSH_.*|TEST.*|STD.*|LOG.*)$/

/**
 * Finds the settings of the chosen cloud, by the rules of openstacksdk's config loader: the first clouds.yaml found
 * counts alone, the first secure.yaml found is laid over it.
 *
 * @throws OpenStackError `config`
 */
export async function findSettings({cloud, env, cwd}: Choice): Promise<Found> {
  const wanted = cloud ?? (env['OS_CLOUD'] || undefined)
  const envName = env['OS_CLOUD_NAME'] || 'envvars'
  const fromEnv = env['OS_AUTH_URL'] ? environmentCloud(env) : undefined
  if (fromEnv && (wanted ?? envName) === envName) return {name: envName, settings: fromEnv, profile: {}}

  const directories = searchPath(env, cwd)
  const clouds = await firstFile(
    directories,
    'clouds',
    env['OS_CLIENT_CONFIG_FILE'],
    'OS_CLIENT_CONFIG_FILE',
    cwd,
  )
  const secure = await firstFile(
    directories,
    'secure',
    env['OS_CLIENT_SECURE_FILE'],
    'OS_CLIENT_SECURE_FILE',
    cwd,
  )
  const known = section(deepMerge(clouds?.content ?? {}, secure?.content ?? {}), 'clouds', clouds ?? secure)
  const source = (clouds ?? secure)?.path
  const name = pick(wanted, Object.keys(known), source, directories)
  const settings = known[name]
  if (!isRecord(settings))
    throw mistake(clouds ?? secure, `cloud ${quote(name)} is not a mapping`, 'clouds', name)
  const lineOf = (...path: string[]) =>
    clouds?.lineOf('clouds', name, ...path) ?? clouds?.lineOf('clouds', name)
  return {
    name,
    settings,
    profile: await profileOf(settings, directories, cwd),
    lineOf,
    ...(source && {source}),
  }
}

function pick(
  wanted: string | undefined,
  names: string[],
  source: string | undefined,
  looked: string[],
): string {
  if (wanted !== undefined && names.includes(wanted)) return wanted
  if (wanted === undefined && names.length === 1) return names[0] as string
  const listed = names.map(quote).join(', ')
  if (wanted === undefined && names.length > 1) {
    throw new OpenStackError('no-cloud', `no cloud was chosen; ${source} has: ${listed}`)
  }
  if (wanted === undefined) {
    throw new OpenStackError(
      'no-cloud',
      `no cloud is configured: no OS_AUTH_URL, and no clouds.yaml in ${looked.join(', ')}`,
    )
  }
  if (!source) {
    throw new OpenStackError(
      'no-cloud',
      `there is no cloud ${quote(wanted)}: found no clouds.yaml in ${looked.join(', ')}`,
    )
  }
  throw new OpenStackError(
    'no-cloud',
    `there is no cloud ${quote(wanted)}; ${source} has: ${listed || 'none'}`,
  )
}

/** OS_AUTH_URL becomes auth_url, and so on. @param env all variables of the process */
export function environmentCloud(env: NodeJS.ProcessEnv): Settings {
  const settings: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(env)) {
    if (key.startsWith('OS_') && !selectors.test(key) && value) settings[key.slice(3).toLowerCase()] = value
  }
  if (env['OS_REGION_NAME']) settings['region_name'] = env['OS_REGION_NAME']
  return settings
}

/** Directories that openstacksdk looks into (appdirs' rules for each system), best first. */
export function searchPath(env: NodeJS.ProcessEnv, cwd: string, platform = process.platform): string[] {
  const home = env['SNAP_REAL_HOME'] || env['HOME'] || homedir()
  const own: string[] = []
  if (platform === 'darwin') own.push(join(home, 'Library', 'Application Support', 'openstack'))
  else if (platform === 'win32' && env['LOCALAPPDATA'])
    own.push(join(env['LOCALAPPDATA'], 'OpenStack', 'openstack'))
  else if (env['XDG_CONFIG_HOME']) own.push(join(env['XDG_CONFIG_HOME'], 'openstack'))
  return [
    ...new Set([cwd, ...own, join(home, '.config', 'openstack'), '/etc/xdg/openstack', '/etc/openstack']),
  ]
}

interface File {
  readonly path: string
  readonly content: Settings
  /** Line on which a value stands, from 1; undefined where there is none. */
  readonly lineOf: (...path: string[]) => number | undefined
}

async function firstFile(
  directories: readonly string[],
  stem: string,
  explicit: string | undefined,
  variable: string,
  cwd: string,
): Promise<File | undefined> {
  if (explicit) {
    const path = resolve(cwd, explicit)
    const file = await read(path)
    // openstacksdk goes on searching, and then talks to another cloud than the user named: we stop.
    if (!file) throw new OpenStackError('config', `${variable} names ${path}, which cannot be read`)
    return file
  }
  for (const directory of directories) {
    for (const suffix of ['yaml', 'yml', 'json']) {
      const file = await read(join(directory, `${stem}.${suffix}`))
      if (file) return file
    }
  }
  return undefined
}

async function read(path: string): Promise<File | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'EACCES' || code === 'ENOTDIR' || code === 'EISDIR') return undefined
    throw new OpenStackError('config', `${path} cannot be read: ${(error as Error).message}`, {cause: error})
  }
  return parse(path, text)
}

/** JSON is YAML too, so one parser tells the line of every mistake. */
async function parse(path: string, text: string): Promise<File> {
  const {isNode, LineCounter, parseDocument} = await import('yaml')
  const lines = new LineCounter()
  // As PyYAML reads it: 1.1, because PyYAML reads it: there `yes` is true, and `<<` merges.
  const document = parseDocument(text, {
    lineCounter: lines,
    version: '1.1',
    merge: true,
    uniqueKeys: false,
    logLevel: 'silent',
  })
  const fault = document.errors[0]
  if (fault) {
    const {line, col} = lines.linePos(fault.pos[0])
    const reason = fault.message.split(/ at line |\n/)[0]
    throw new OpenStackError('config', `${path}, line ${line}, column ${col}: ${reason}`)
  }
  const lineOf = (...keys: string[]) => {
    const node: unknown = document.getIn(keys, true)
    return isNode(node) && node.range ? lines.linePos(node.range[0]).line : undefined
  }
  try {
    const content: unknown = document.toJS({maxAliasCount: 1000})
    if (isRecord(content ?? {})) return {path, content: (content ?? {}) as Settings, lineOf}
  } catch (error) {
    throw new OpenStackError('config', `${path}, line 1: ${(error as Error).message}`, {cause: error})
  }
  throw new OpenStackError('config', `${path}, line 1: a mapping with the key "clouds" was expected`)
}

function section(content: Settings, key: string, file: File | undefined): Settings {
  const value = content[key]
  if (value === undefined || value === null) return {}
  if (!isRecord(value)) throw mistake(file, `${quote(key)} is not a mapping`, key)
  return value
}

function mistake(file: File | undefined, sentence: string, ...path: string[]): OpenStackError {
  return new OpenStackError('config', `${file?.path}, line ${file?.lineOf(...path) ?? 1}: ${sentence}`)
}

async function profileOf(settings: Settings, directories: readonly string[], cwd: string): Promise<Settings> {
  const name = settings['profile'] ?? settings['cloud']
  if (typeof name !== 'string') return {}
  const vendors = await firstFile(directories, 'clouds-public', undefined, '', cwd)
  const profile = vendors && section(vendors.content, 'public-clouds', vendors)[name]
  return isRecord(profile) ? profile : {}
}

const quote = (name: string) => JSON.stringify(name)
