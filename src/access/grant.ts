import {isIP} from 'node:net'

import {OsSshError} from '../errors.ts'
import {isUuid} from '../names/uuid.ts'
import type {HostKeys, Path, PathGrant, Rebuild} from '../protocol/index.ts'
import {parsePublicKey} from '../ssh/keys.ts'

const checks: Readonly<Record<string, (value: unknown) => boolean>> = {
  id: matches(/^[\w-]{1,64}$/),
  server_id: isId,
  alias: isAddress,
  port: isPort,
  login: matches(/^[a-z_][a-z0-9_-]{0,31}$/),
  expires_at: isTime,
  certificate_until: isTime,
  rebuild: value => value === undefined || isRebuild(value),
  certificate: matches(
    /^[a-z0-9-]+-cert-v01@openssh\.com [A-Za-z0-9+/]{1,16384}={0,2}( [\x20-\x7e]{0,1024})?$/,
  ),
  host_ca: isKey,
  host_cas: value => value === undefined || areKeys(value),
  host_keys: areKeys,
}
const gateChecks: typeof checks = {
  id: matches(/^[A-Za-z0-9][\w.-]{0,63}$/),
  host: value => isAddress(value) || matches(/^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/)(value),
  port: isPort,
}

/**
 * A grant whose every field that goes into a file or an argument is what it should be. The service is trusted with
 * much, but not with our ssh_config. @throws OsSshError SERVICE_DOWN
 */
export function checkGrant(answer: unknown, serverId: string): PathGrant {
  const grant = (answer ?? {}) as PathGrant
  const wrong =
    Object.entries(checks).find(([name, good]) => !good(grant[name as keyof PathGrant]))?.[0] ??
    Object.entries(gateChecks).find(([name, good]) => !good(grant.gate?.[name as never]))?.[0]
  if (wrong !== undefined || grant.server_id !== serverId) {
    throw nonsense(wrong ?? 'server_id')
  }
  const hostCas = new Set([grant.host_ca, ...(grant.host_cas ?? [])].map(bare))
  return {...grant, host_cas: [...hostCas], host_keys: grant.host_keys.map(bare)}
}

/**
 * Paths of a listing: what goes into a file's name or a URL is a UUID. @throws OsSshError SERVICE_DOWN
 */
export function checkPaths(answer: unknown): readonly Path[] {
  const {paths} = (answer ?? {}) as {paths?: unknown}
  const good = (path: Partial<Path> | null) =>
    isId(path?.id) && isId(path?.server_id) && isTime(path?.expires_at)
  if (!Array.isArray(paths) || !paths.every(good)) throw nonsense('paths')
  return paths as Path[]
}

/** Pinned host keys as the service names them. @throws OsSshError SERVICE_DOWN */
export function checkHostKeys(answer: unknown, serverId: string): HostKeys {
  const known = (answer ?? {}) as HostKeys
  const rebuildIsGood = known.rebuild === undefined || isRebuild(known.rebuild)
  if (known.server_id !== serverId || !areKeys(known.host_keys) || !rebuildIsGood) throw nonsense('host_keys')
  return {...known, host_keys: known.host_keys.map(bare)}
}

function nonsense(what: string): OsSshError {
  return new OsSshError('SERVICE_DOWN', `the SSH service answered nonsense: ${what}`, {
    hint: 'is OS_SSH_ENDPOINT an os-ssh service of a fitting version?',
  })
}

/* Texts only: what becomes one by String() may be an array, or throw. */

function isId(value: unknown): boolean {
  return typeof value === 'string' && isUuid(value)
}

function isAddress(value: unknown): boolean {
  return typeof value === 'string' && isIP(value) !== 0
}

function isTime(value: unknown): boolean {
  return typeof value === 'string' && Number.isFinite(Date.parse(value))
}

function isRebuild(value: unknown): value is Rebuild {
  const {request_id, at, user_id, keys_seen} = (value ?? {}) as Partial<Rebuild>
  return (
    matches(/^req-[\w-]{1,64}$/)(request_id) &&
    isTime(at) &&
    matches(/^[\w-]{0,64}$/)(user_id) &&
    typeof keys_seen === 'boolean'
  )
}

function areKeys(value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= 32 && value.every(isKey)
}

function matches(pattern: RegExp) {
  return (value: unknown) => typeof value === 'string' && pattern.test(value)
}

function isPort(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) > 0 && Number(value) < 65_536
}

function isKey(value: unknown): boolean {
  try {
    if (typeof value !== 'string') return false
    parsePublicKey(value)
    return true
  } catch {
    return false
  }
}

function bare(line: string): string {
  const {type, blob} = parsePublicKey(line)
  return `${type} ${blob.toString('base64')}`
}
