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
  /** Public key lines of the CAs of the users; during a rotation two. */
  readonly userCas: readonly string[]
  readonly hostCertificate: string
  /** Interfaces, beside the one that the service comes in by, that are the gate's own. */
  readonly keepNics: readonly string[]
}

/** Who runs the gate: it takes nothing from another service, nor from one that comes with a smaller number. */
export interface Holder {
  readonly service: string
  readonly fence: number
  /** Which copy of the service, and who runs that. */
  readonly copy: string
  readonly who: string
}

export interface DesiredGate {
  readonly holder: Holder
  /** Absent when this connection has already configured it. */
  readonly base?: GateIdentity
  /** Attachments to configure, each with all its paths; the others are as they were, but for what has changed. */
  readonly attachments: readonly {readonly row: AttachmentRow; readonly paths: readonly PathRow[]}[]
  /** Slots of all attachments that shall exist. */
  readonly slots: readonly number[]
  /** Whether `paths` are all that are not released yet, and nothing else shall be there; or those that have changed. */
  readonly whole: boolean
  /** Live ones get through, ended ones are cut. */
  readonly paths: readonly PathRow[]
  /** Paths whose accounts are about to be anybody's: a login that was under way at the cut may have come through since. */
  readonly rested: readonly PathRow[]
  /** Of paths that have changed: the slots of their attachments, where those are not configured anew. */
  readonly slotOf: ReadonlyMap<string, number>
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
const SERVICE = /^[0-9a-f-]{36}$/
const seconds = (until: number, now: number) => Math.ceil((until - now) / 1000)

/** Elements of an nft set or map: all by their keys (with what a map has for them), and those that shall be there for a time. */
interface Elements {
  readonly name: string
  readonly all: {readonly key: string; readonly value: string}[]
  readonly there: string[]
}

function element(to: Elements, key: string, value: string, until: number): void {
  to.all.push({key, value})
  if (until > 0) to.there.push(`${key} timeout ${until}s${value}`)
}

const named = <Name extends string>(names: readonly Name[]) =>
  Object.fromEntries(names.map((name): [Name, Elements] => [name, {name, all: [], there: []}])) as Record<
    Name,
    Elements
  >

const opens = (path: PathRow, now: number) => isLive(path, now) && path.certificate_until > now

/** What each path's account reaches from the gate's main namespace, until its certificate's end. */
function accountsOf(paths: readonly PathRow[], now: number): Elements[] {
  const sets = named(['paths4', 'paths6'])
  for (const path of paths) {
    const key = `${account(path)} . ${address(path.alias)} . 22`
    const until = opens(path, now) ? seconds(path.certificate_until, now) : 0
    element(sets[isIPv6(path.alias) ? 'paths6' : 'paths4'], key, '', until)
  }
  return Object.values(sets)
}

/**
 * Elements of the maps and sets of one attachment, or of the direct paths, with the time they have left. A new connection needs the first, which ends
 * with the certificate; an open one lives by the second, which ends with the path.
 */
function elementsOf(paths: readonly PathRow[], now: number): Elements[] {
  const sets = named(['vms4', 'vms6', 'live4', 'live6'])
  for (const path of paths) {
    const family = isIPv6(path.alias) ? 6 : 4
    const live = isLive(path, now)
    const alias = address(path.alias)
    const until = opens(path, now) ? seconds(path.certificate_until, now) : 0
    element(sets[`vms${family}`], alias, ` : ${address(path.address)}`, until)
    const left = live ? seconds(path.expires_at, now) : DYING
    element(sets[`live${family}`], alias, '', live || path.state !== 'cut' ? left : 0)
  }
  return Object.values(sets)
}

/** These instead of all that are there, or of their own earlier selves. */
const elements = (whole: boolean, sets: readonly Elements[]) =>
  render(whole ? 'elements.nft.eta' : 'changes.nft.eta', {sets})

const direct = (paths: readonly PathRow[]) => paths.filter(path => path.route === 'direct')

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
    elements: elements(true, elementsOf(paths, now)),
    hash,
  }
}

/** The gate itself: its certificate and sshd, its interfaces, the guard, and what a reboot needs of them. */
function baseValues({userCas, hostCertificate, keepNics}: GateIdentity) {
  const settings = render('settings.sh.eta', {})
  return {
    userCas: userCas.map(line => strict(line, /^ssh-ed25519 [\w+/=]+( [\w+/=. @-]+)?$/)),
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

/** What has changed of the attachments that are not configured anew. */
function changesOf({paths, slotOf, now}: DesiredGate) {
  const byAttachment = Map.groupBy(paths, path => path.attachment_id)
  return [...byAttachment].flatMap(([id, some]) => {
    const slot = slotOf.get(id)
    if (slot === undefined) return []
    return [{namespace: slotPlan(slot).namespace, elements: elements(false, elementsOf(some, now))}]
  })
}

/**
 * The script that makes the gate so; run as root by `sh`, which does nothing of it before it has heard all of it.
 *
 * @throws TypeError when a row holds something that must not reach a shell
 */
export function renderGate(desired: DesiredGate): string {
  const {now, paths, holder, whole} = desired
  // Of those that need no namespace, the gate's main one has what it would have.
  const main = [...accountsOf(paths, now), ...elementsOf(direct(paths), now)]
  return render('apply.sh.eta', {
    dir: DIR,
    group: GROUP,
    service: strict(holder.service, SERVICE),
    fence: strict(String(holder.fence), /^\d{1,15}$/),
    copy: strict(holder.copy, SERVICE),
    // Between quotes of the shell.
    who: holder.who.replace(/[^\w.@ -]/g, '_').slice(0, 64),
    whole,
    base: desired.base && baseValues(desired.base),
    reaches: elements(whole, main),
    principals: paths.filter(path => isLive(path, now)).map(principalsLine),
    attachments: desired.attachments.map(({row, paths}) => attachmentValues(row, paths, now)),
    changes: whole ? [] : changesOf(desired),
    namespaces: desired.slots.map(slot => slotPlan(slot).namespace),
    ended: [...paths.filter(path => !isLive(path, now)), ...desired.rested].map(account),
    over: whole ? [] : paths.filter(path => !isLive(path, now)).map(account),
  })
}

/** The script that makes the accounts of this pool. */
export function renderAccounts(logins: readonly string[]): string {
  return render('accounts.sh.eta', {dir: DIR, group: GROUP, logins})
}

/** The script that lets another service have the gate. */
export const renderLeave = (service: string) =>
  render('leave.sh.eta', {dir: DIR, service: strict(service, SERVICE)})

/** The script that names the accounts with a connection, one a line. */
export const renderSessions = () => render('sessions.sh.eta', {group: GROUP})

/** A path to be tried. */
export interface Probe {
  readonly path: PathRow
  /** How long its VM has to answer. */
  readonly seconds: number
  /** The attachment, while its network may not know it yet: the gate announces its addresses there. */
  readonly fresh?: Pick<AttachmentRow, 'slot' | 'mac' | 'wired_at'>
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
