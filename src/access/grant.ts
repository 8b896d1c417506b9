import {isIP} from 'node:net'

import {OsSshError} from '../errors.ts'
import type {PathGrant} from '../protocol/index.ts'
import {parsePublicKey} from '../ssh/keys.ts'
import {isUuid} from './words.ts'

const checks: Readonly<Record<string, (value: unknown) => boolean>> = {
  id: matches(/^[\w-]{1,64}$/),
  server_id: value => isUuid(String(value)),
  alias: value => isIP(String(value)) !== 0,
  port: isPort,
  login: matches(/^[a-z_][a-z0-9_-]{0,31}$/),
  expires_at: value => Number.isFinite(Date.parse(String(value))),
  certificate: matches(
    /^[a-z0-9-]+-cert-v01@openssh\.com [A-Za-z0-9+/]{1,16384}={0,2}( [\x20-\x7e]{0,1024})?$/,
  ),
  host_ca: isKey,
  host_keys: value => Array.isArray(value) && value.length <= 32 && value.every(isKey),
}
const gateChecks: typeof checks = {
  id: matches(/^[A-Za-z0-9][\w.-]{0,63}$/),
  host: value =>
    isIP(String(value)) !== 0 || matches(/^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/)(value),
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
    throw new OsSshError('SERVICE_DOWN', `the SSH service answered nonsense: ${wrong ?? 'server_id'}`, {
      hint: 'is OS_SSH_ENDPOINT an os-ssh service of a fitting version?',
    })
  }
  return {...grant, host_keys: grant.host_keys.map(bare)}
}

function matches(pattern: RegExp) {
  return (value: unknown) => typeof value === 'string' && pattern.test(value)
}

function isPort(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) > 0 && Number(value) < 65_536
}

function isKey(value: unknown): boolean {
  try {
    parsePublicKey(String(value))
    return true
  } catch {
    return false
  }
}

function bare(line: string): string {
  const {type, blob} = parsePublicKey(line)
  return `${type} ${blob.toString('base64')}`
}
