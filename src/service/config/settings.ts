import {homedir} from 'node:os'
import {join} from 'node:path'

import type {GatesConfig} from '../deploy/config.ts'

/* The settings of the service: what each is, what it may be, and what it is when nobody says so. Flags and file are made from this. */

interface NumberSetting {
  readonly description: string
  readonly usual: number
  readonly min: number
  readonly max?: number
}

/** Settings that are whole numbers, by their keys in the file; the flags are spelled with hyphens. */
export const NUMBERS = {
  max_life: {description: 'longest life of a path, s', usual: 24 * 3600, min: 60},
  default_life: {description: 'life of a path when none is asked for, s', usual: 8 * 3600, min: 60},
  cert_life: {
    description: 'life of a certificate, s: a right that was withdrawn logs nobody in after it',
    usual: 3600,
    min: 10,
  },
  paths_per_vm: {description: 'live paths of one user to one VM; 0: any number', usual: 5, min: 0},
  paths_per_user: {description: 'paths of one user; 0: any number', usual: 500, min: 0},
  project_share: {
    description: 'per cent of a gate that one project may hold while others wait; 0: all',
    usual: 50,
    min: 0,
    max: 100,
  },
  grace: {description: 'how long a network that nobody uses stays plugged in, s', usual: 600, min: 0},
  resync: {description: 'how often a gate is looked at whole, s', usual: 60, min: 1},
  survey: {description: 'how often the cloud is asked what it has taken away, s', usual: 20, min: 1},
  retention: {description: 'how long ended paths and the audit are kept, days', usual: 90, min: 1},
  max_paths: {description: 'paths that one gate takes', usual: 2000, min: 1, max: 9999},
  max_networks: {description: 'networks that one gate takes', usual: 24, min: 1, max: 1023},
} as const satisfies Readonly<Record<string, NumberSetting>>

export type NumberKey = keyof typeof NUMBERS

export const USUAL_LISTEN = '127.0.0.1:5101'

/** `HOST:PORT`, `[IPv6]:PORT`. */
export const LISTEN = /^(?:\[(?<six>[0-9a-fA-F:]+)\]|(?<host>[\w.-]+)):(?<port>\d{1,5})$/

/** Where a service keeps what must survive it, when nobody says where. */
export const usualState = () => join(homedir(), '.local', 'state', 'os-ssh', 'service')

/** What flags and file can say, each all or nothing of it. */
export interface Settings extends Partial<Record<NumberKey, number>> {
  readonly os_cloud?: string
  readonly state?: string
  readonly database?: string
  readonly management_key?: string
  readonly listen?: string
  readonly admin_projects?: readonly string[]
  readonly plain_http?: boolean
}

/** What a configuration file says. */
export interface ServiceFile extends Settings {
  readonly gates?: Partial<GatesConfig>
}
