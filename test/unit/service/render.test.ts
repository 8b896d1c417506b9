import {spawn, spawnSync} from 'node:child_process'
import {once} from 'node:events'
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, describe, expect, it} from '@jest/globals'
import fc from 'fast-check'

import {
  type DesiredGate,
  type GateIdentity,
  renderAccounts,
  renderGate,
  renderProbes,
} from '../../../src/service/gates/render.ts'
import {readAnswer} from '../../../src/service/gates/told.ts'
import type {AttachmentRow, PathRow} from '../../../src/service/store/schema.ts'
import {expectGolden} from '../../support/golden.ts'

const NOW = Date.UTC(2026, 10, 23)
const uuid = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`

const attachment: AttachmentRow = {
  id: uuid(1),
  gate_id: uuid(2),
  slot: 3,
  network_id: uuid(3),
  project_id: 'p',
  mtu: 1450,
  reach: [
    {network_id: uuid(3), cidr: '10.0.0.0/24', via: null},
    {network_id: uuid(4), cidr: '10.0.2.0/24', via: '10.0.0.1'},
  ],
  port_id: uuid(5),
  mac: 'fa:16:3e:00:00:01',
  addresses: ['10.0.0.5/24', 'fd00:10::5/64'],
  state: 'plugged',
  wired_at: null,
  idle_since: null,
  created_at: NOW,
}

const path: PathRow = {
  id: uuid(6),
  serial: 1,
  state: 'active',
  user_id: 'u',
  user_name: 'alice',
  project_id: 'p',
  server_id: uuid(7),
  server_name: 'web',
  network_id: uuid(3),
  route: 'attached',
  address: '10.0.0.10',
  gate_id: uuid(2),
  attachment_id: uuid(1),
  alias: '100.64.48.16',
  login: 'osp0000',
  public_key: 'ssh-ed25519 AAAA',
  fingerprint: 'SHA256:x',
  created_at: NOW,
  expires_at: NOW + 8 * 3_600_000,
  certificate_until: NOW + 3_600_000,
  ended_at: null,
  cut_at: null,
  error: undefined,
  version: 1,
  applied: 0,
}

const full: DesiredGate = {
  holder: {service: uuid(11), fence: 7, copy: uuid(12), who: "alice on o'laptop"},
  base: {
    userCas: ['ssh-ed25519 AAAAuser os-ssh user_ca'],
    hostCertificate: 'ssh-ed25519-cert-v01@openssh.com AAAAhost',
    keepNics: ['eth9'],
  },
  attachments: [],
  slotOf: new Map(),
  rested: [],
  slots: [3],
  paths: [
    path,
    {...path, id: uuid(8), alias: 'fd5e:6f73:7368:4::100', address: 'fd00:10::10', login: 'osp0001'},
    {...path, id: uuid(9), alias: '100.64.48.17', login: 'osp0002', state: 'ended', ended_at: NOW},
    {...path, id: uuid(10), alias: '100.64.48.18', login: 'osp0003', state: 'cut', cut_at: NOW},
  ],
  whole: true,
  now: NOW,
}

/** The whole state, by its paths. */
const whole = (paths: readonly PathRow[], change: Partial<DesiredGate> = {}): DesiredGate => ({
  ...full,
  paths,
  attachments: [{row: attachment, paths}],
  ...change,
})
const desired = whole(full.paths)
/** What has changed since. */
const changed = (paths: readonly PathRow[], change: Partial<DesiredGate> = {}): DesiredGate => {
  const {base: _, ...rest} = full
  return {...rest, whole: false, paths, slotOf: new Map([[attachment.id, attachment.slot]]), ...change}
}

const isShell = (script: string) => spawnSync('sh', ['-n'], {input: script}).status === 0

describe('the script of a gate', () => {
  it('reads as it always did', () => {
    expectGolden('gate/apply.sh', renderGate(desired))
    expectGolden(
      'gate/changes.sh',
      renderGate(changed(full.paths.slice(0, 3), {rested: full.paths.slice(3)})),
    )
    const probes = [
      {path, seconds: 5},
      {path, seconds: 20, fresh: attachment},
    ]
    expectGolden('gate/probe.sh', renderProbes(probes))
    expectGolden('gate/accounts.sh', renderAccounts(['osp0000', 'osp0001']))
  })

  it('is shell', () => {
    expect(isShell(renderGate(desired))).toBe(true)
    expect(isShell(renderGate(changed(full.paths)))).toBe(true)
    expect(isShell(renderGate(changed([])))).toBe(true)
    expect(isShell(renderProbes(desired.paths.map(path => ({path, seconds: 20, fresh: attachment}))))).toBe(
      true,
    )
  })

  it('lets an expired path in nowhere, even before it is marked ended', () => {
    const late = renderGate(whole([path], {now: path.expires_at}))
    expect(late).not.toContain('permitopen')
    expect(late).not.toContain('add element inet os_ssh vms4')
    expect(late).toContain('pkill -KILL -u osp0000')
  })

  it('begins nothing new after the end of the certificate, and cuts nothing that is open', () => {
    const late = renderGate(whole([path], {now: path.certificate_until}))
    expect(late).not.toMatch(/add element inet os_ssh (vms|paths)/)
    expect(late).toContain(`add element inet os_ssh live4 { ${path.alias} timeout ${7 * 3600}s }`)
    expect(late).not.toContain('pkill -KILL -u osp')
  })

  it('leaves an ended path in the live set only until the kill is confirmed', () => {
    const text = renderGate(desired)
    expect(text).toContain('100.64.48.17 timeout 10s')
    expect(text).not.toContain('100.64.48.18')
  })

  it('tells of a change what is of it, and nothing of the others', () => {
    const text = renderGate(changed([path]))
    expect(text).not.toContain('flush')
    expect(text).not.toContain('wanted')
    expect(text).toContain(`delete element inet os_ssh vms4 { ${path.alias} }`)
    const over = renderGate(changed([{...path, state: 'ended'}]))
    expect(over).toContain('rm -f osp0000')
    expect(over).toContain('pkill -KILL -u osp0000')
    expect(over).not.toContain('permitopen')
  })

  it('refuses the names of interfaces that are none', () => {
    for (const nic of ['eth0; reboot', '$(id)', '-x', ''])
      expect(() =>
        renderGate({...desired, base: {...(desired.base as GateIdentity), keepNics: [nic]}}),
      ).toThrow(TypeError)
  })

  it('refuses a holder that is none', () => {
    for (const service of ['x; reboot', ''])
      expect(() => renderGate({...desired, holder: {...full.holder, service}})).toThrow(TypeError)
    expect(() => renderGate({...desired, holder: {...full.holder, fence: 1.5}})).toThrow(TypeError)
  })

  it('has a line for each CA, and refuses what is none', () => {
    const [one, two] = [
      'ssh-ed25519 AAAAone os-ssh user_ca',
      'ssh-ed25519 AAAAtwo= os-ssh user_ca 2026-11-28',
    ]
    const withCas = (...userCas: string[]) =>
      renderGate({...desired, base: {...(desired.base as GateIdentity), userCas}})
    expect(withCas(one, two)).toContain(`put "$dir/user_ca.pub" <<'END'\n${one}\n${two}\nEND\n`)
    for (const line of [
      '',
      'END',
      `${one}\n`,
      `${one}\nEND\nreboot`,
      `${one}$(id)`,
      `@cert-authority ${one}`,
    ])
      expect(() => withCas(two, line)).toThrow(TypeError)
  })

  const fields = ['alias', 'address', 'login', 'id'] as const
  const hostile = fc.oneof(
    fc.constantFrom(
      '$(reboot)',
      "'; reboot; '",
      'END\nreboot',
      '10.0.0.1 }; flush ruleset',
      '::1%eth0',
      '',
      '-x',
      '`id`',
    ),
    fc.string({minLength: 1}),
  )

  it('refuses whatever is not an address, an account or an id', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(whole, changed),
        fc.constantFrom(...fields),
        hostile,
        (make, field, text) => {
          const rendering = () => renderGate(make([{...path, [field]: text}]))
          try {
            expect(rendering()).toContain('applied')
          } catch (error) {
            expect(error).toBeInstanceOf(TypeError)
            return
          }
          // What it let through was really one.
          expect(text).toMatch(/^(osp\d{4}|[0-9a-f.:-]+)$/i)
        },
      ),
    )
  })

  it('refuses hostile attachments', () => {
    for (const change of [
      {mac: 'fa:16:3e:00:00:01\nreboot'},
      {addresses: ['10.0.0.5/24\n} drop']},
      {addresses: ['10.0.0.5/24; reboot']},
      {reach: [{network_id: 'x', cidr: '10.0.0.0/24\nroute del default', via: '10.0.0.1'}]},
      {reach: [{network_id: 'x', cidr: '10.0.0.0/24', via: '$(reboot)'}]},
    ])
      expect(() =>
        renderGate({...desired, attachments: [{row: {...attachment, ...change}, paths: []}]}),
      ).toThrow(TypeError)
  })
})

describe('who may run a gate', () => {
  const home = mkdtempSync(join(tmpdir(), 'os-ssh-fence-'))
  afterAll(() => rmSync(home, {recursive: true}))
  /** The real script with its real lock, in directories of its own; what it would do to the machine is only said. */
  const script = (
    service: string,
    fence: number,
    {body = 'echo done', copy = uuid(12), who = 'alice on a'} = {},
  ) =>
    renderGate({...desired, holder: {service, fence, copy, who}})
      .replace('dir=/etc/os-ssh run=/run/os-ssh', `dir=${home}/etc run=${home}/run`)
      .replace(/mkdir -p (.*) \/run\/netns$/m, 'mkdir -p $1')
      .replace(/^apply\(\) \{\n[\s\S]*?^\}\n\n# One at/m, `apply() { ${body}; }\n\n# One at`)
  const push = (text: string) => spawnSync('sh', ['-s'], {input: text}).stdout.toString().trim()
  const holder = () => readFileSync(`${home}/etc/holder`, 'utf8').split('\n')[0]
  const [ours, theirs] = [uuid(21), uuid(22)]

  it('is whoever came with the largest number, and nobody of another service', () => {
    expect(push(script(ours, 7))).toBe('done')
    expect(push(script(ours, 7))).toBe('done')
    expect(push(script(ours, 9))).toBe('done')
    expect(push(script(ours, 8))).toBe(`held ${ours} 9 ${uuid(12)} alice on a`)
    expect(push(script(theirs, 10))).toBe(`held ${ours} 9 ${uuid(12)} alice on a`)
    expect(holder()).toBe(`${ours} 9`)
  })

  it('is the last copy of a service, and those before it hear who that is', () => {
    const last = {copy: uuid(13), who: 'bob on b'}
    expect(push(script(ours, 1_000_007, last))).toBe('done')
    expect(readAnswer(push(script(ours, 10)))).toMatchObject({
      held: {service: ours, fence: 1_000_007, copy: uuid(13), who: 'bob on b'},
    })
    // Made of the same one: whoever came first has it.
    expect(push(script(ours, 1_000_007, {copy: uuid(14), who: 'eve'}))).toContain('bob on b')
    expect(push(script(ours, 1_000_008, last))).toBe('done')
  })

  it('may be one whose copy is not known: an older os-ssh says none', () => {
    writeFileSync(`${home}/etc/holder`, `${ours} 8\n`)
    expect(readAnswer(push(script(ours, 7)))).toMatchObject({held: {service: ours, fence: 8, copy: ''}})
    expect(push(script(ours, 9))).toBe('done')
  })

  it('does nothing of a script that has not come whole', () => {
    const text = script(ours, 11)
    for (const part of [0.3, 0.6, 0.9, 0.99]) push(text.slice(0, text.length * part))
    expect(holder()).toBe(`${ours} 9`)
    expect(push(text.slice(0, -2))).not.toContain('done')
    expect(holder()).toBe(`${ours} 9`)
  })

  it('waits for a push that is under way, and then counts', async () => {
    const slow = spawn('sh', ['-s'], {stdio: ['pipe', 'pipe', 'inherit']})
    slow.stdin.end(script(ours, 20, {body: 'echo begun; sleep 0.3; echo done'}))
    await once(slow.stdout, 'data')
    const begun = performance.now()
    expect(push(script(ours, 19))).toBe(`held ${ours} 20 ${uuid(12)} alice on a`)
    expect(performance.now() - begun).toBeGreaterThan(200)
  })
})
