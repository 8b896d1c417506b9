import {createHash} from 'node:crypto'
import {isIP, isIPv4, isIPv6} from 'node:net'

import {template} from '../../system/template.ts'
import {principal} from '../ca/ca.ts'
import type {AttachmentRow, PathRow} from '../store/schema.ts'
import {ALIAS_RANGE_4, ALIAS_RANGE_6, slotPlan} from './addresses.ts'
import {LOGIN_GRACE} from './times.ts'

/** Where the gate keeps what we write, and the one group of the accounts of all paths. */
const DIR = '/etc/os-ssh'
const GROUP = 'os-ssh'
/** Time-out of elements whose path has ended: long enough for both ends to be told, s. */
const DYING = 10

export interface GateIdentity {
  readonly userCa: string
  readonly hostCertificate: string
  /** Interfaces, beside the one that the service comes in by, that are the gate's own. */
  readonly keepNics: readonly string[]
}

export interface DesiredGate {
  /** Absent when this connection has already configured it. */
  readonly base?: GateIdentity
  /** Attachments to configure; the others are left as they are. */
  readonly attachments: readonly AttachmentRow[]
  /** Slots of all attachments that shall exist. */
  readonly slots: readonly number[]
  /** All paths not yet released: live ones get through, ended ones are cut. */
  readonly paths: readonly PathRow[]
  /** Look for processes of accounts that no path has, too. */
  readonly sweep: boolean
  /** Epoch ms. */
  readonly now: number
}

const scripts = new Map<string, ReturnType<typeof template>>()

function render(name: string, values: object): string {
  const script = scripts.get(name) ?? template(`gate/${name}`)
  scripts.set(name, script)
  return script(values)
}

const isLive = (path: PathRow, now: number) =>
  (path.state === 'pending' || path.state === 'active') && path.expires_at > now

/**
 * Everything that goes into a script passes here: the last border before a root shell. Rows were validated when they
 * were written; a database that somebody else wrote must still not be able to run a command on a gate.
 */
function strict(value: string, allowed: RegExp): string {
  if (!allowed.test(value))
    throw new TypeError(`refusing to render ${JSON.stringify(value)} into a gate script`)
  return value
}

const strictMac = ({mac}: Pick<AttachmentRow, 'mac'>) => strict(mac ?? '', /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/)

function address(value: string): string {
  if (isIP(value) === 0 || value.includes('%'))
    throw new TypeError(`refusing to render address ${JSON.stringify(value)}`)
  return value
}

function prefix(value: string): string {
  const [ip = '', length = ''] = value.split('/')
  return `${address(ip)}/${strict(length, /^\d{1,3}$/)}`
}

const principalsLine = (path: PathRow) => {
  const target = isIPv6(path.alias) ? `[${address(path.alias)}]:22` : `${address(path.alias)}:22`
  const who = strict(principal(path.id), /^path-[0-9a-f-]{36}$/)
  return `${account(path)} restrict,port-forwarding,permitopen="${target}" ${who}`
}

const account = ({login}: PathRow) => strict(login, /^osp\d{4}$/)
const seconds = (until: number, now: number) => Math.ceil((until - now) / 1000)

/** What each path's account reaches from the gate's main namespace, until its certificate's end. */
function reaches(paths: readonly PathRow[], now: number): string {
  const open = paths.filter(path => isLive(path, now) && path.certificate_until > now)
  const accounts = ([4, 6] as const).map(family => [
    `paths${family}`,
    open
      .filter(path => isIPv6(path.alias) === (family === 6))
      .map(
        path =>
          `${account(path)} . ${address(path.alias)} . 22 timeout ${seconds(path.certificate_until, now)}s`,
      ),
  ])
  // Of those that need no namespace, the gate's main one has what it would have.
  const direct = paths.filter(path => path.route === 'direct')
  return render('paths.nft.eta', {
    accounts,
    direct: render('elements.nft.eta', {elements: elementsOf(direct, now)}),
  })
}

/**
 * Elements of the maps and sets of one attachment, or of the direct paths, with the time they have left. A new connection needs the first, which ends
 * with the certificate; an open one lives by the second, which ends with the path.
 */
function elementsOf(paths: readonly PathRow[], now: number): [string, string[]][] {
  const sets: Record<'vms4' | 'vms6' | 'live4' | 'live6', string[]> = {
    vms4: [],
    vms6: [],
    live4: [],
    live6: [],
  }
  for (const path of paths) {
    const family = isIPv6(path.alias) ? 6 : 4
    const live = isLive(path, now)
    const alias = address(path.alias)
    if (live && path.certificate_until > now)
      sets[`vms${family}`].push(
        `${alias} timeout ${seconds(path.certificate_until, now)}s : ${address(path.address)}`,
      )
    if (live || path.state !== 'cut')
      sets[`live${family}`].push(`${alias} timeout ${live ? seconds(path.expires_at, now) : DYING}s`)
  }
  return Object.entries(sets)
}

function attachmentValues(row: AttachmentRow, paths: readonly PathRow[], now: number) {
  const plan = slotPlan(row.slot)
  const rules = render('namespace.nft.eta', plan)
  const addresses = row.addresses.map(prefix)
  const arp = addresses.map(one => one.split('/')[0] ?? '').filter(isIPv4)
  const neighbours = render('neighbours.nft.eta', {addresses: arp})
  const fixed = {
    ...plan,
    mac: strictMac(row),
    mtu: strict(String(row.mtu), /^\d{3,5}$/),
    addresses,
    routes: row.reach.flatMap(reach =>
      reach.via === null ? [] : [{cidr: prefix(reach.cidr), via: address(reach.via)}],
    ),
  }
  const hash = createHash('sha256')
    .update(JSON.stringify(fixed))
    .update(rules)
    .update(neighbours)
    .digest('hex')
    .slice(0, 16)
  return {
    ...fixed,
    rules,
    neighbours,
    elements: render('elements.nft.eta', {elements: elementsOf(paths, now)}),
    hash,
  }
}

/** The gate itself: its certificate and sshd, its interfaces, the guard, and what a reboot needs of them. */
function baseValues({userCa, hostCertificate, keepNics}: GateIdentity) {
  const settings = render('settings.sh.eta', {})
  return {
    userCa: strict(userCa, /^[\w+/=. @-]+$/),
    hostCertificate: strict(hostCertificate, /^[\w+/=. @-]+$/),
    sshd: render('sshd.conf.eta', {dir: DIR, group: GROUP, graceTime: LOGIN_GRACE}),
    nics: render('nics.sh.eta', {
      keep: keepNics.map(nic => strict(nic, /^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/)),
      settings,
      boot: render('boot.sh.eta', {dir: DIR, settings}),
      unit: render('os-ssh-gate.service.eta', {dir: DIR}),
      guard: render('guard.nft.eta', {group: GROUP, range4: ALIAS_RANGE_4, range6: ALIAS_RANGE_6}),
    }),
  }
}

/**
 * The script that makes the gate so; run as root by `sh`.
 *
 * @throws TypeError when a row holds something that must not reach a shell
 */
export function renderGate(desired: DesiredGate): string {
  const {now, paths} = desired
  return render('apply.sh.eta', {
    dir: DIR,
    group: GROUP,
    base: desired.base && baseValues(desired.base),
    reaches: reaches(paths, now),
    principals: paths.filter(path => isLive(path, now)).map(principalsLine),
    attachments: desired.attachments.map(row =>
      attachmentValues(
        row,
        paths.filter(path => path.attachment_id === row.id),
        now,
      ),
    ),
    namespaces: desired.slots.map(slot => slotPlan(slot).namespace),
    ended: paths.filter(path => !isLive(path, now)).map(account),
    sweep: desired.sweep,
  })
}

/** The script that makes the accounts of this pool. */
export function renderAccounts(logins: readonly string[]): string {
  return render('accounts.sh.eta', {dir: DIR, group: GROUP, logins})
}

/** The script that names the accounts with a connection, one a line. */
export const renderSessions = () => render('sessions.sh.eta', {group: GROUP})

/** A path to be tried. */
export interface Probe {
  readonly path: PathRow
  /** How long its VM has to answer. */
  readonly seconds: number
  /** The attachment, while its network may not know it yet: the gate announces its addresses there. */
  readonly fresh?: Pick<AttachmentRow, 'slot' | 'mac'>
}

/**
 * Tries these paths' VMs, in the background of a shell, which prints `probe PATH STATUS` for each: 1 is refused, 124 no
 * answer. `wait` is the caller's to say.
 */
export function renderProbes(probes: readonly Probe[]): string {
  return render('probe.sh.eta', {
    probes: probes.map(({path, seconds, fresh}) => ({
      id: strict(path.id, /^[0-9a-f-]{36}$/),
      alias: address(path.alias),
      seconds: strict(String(seconds), /^\d{1,3}$/),
      nic: fresh ? `${slotPlan(fresh.slot).namespace} ${strictMac(fresh)}` : '',
    })),
  })
}
