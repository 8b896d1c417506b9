import {spawnSync} from 'node:child_process'
import {mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, beforeEach, expect, it} from '@jest/globals'

import {type DesiredGate, renderGate} from '../../../src/service/gates/render.ts'
import type {PathRow} from '../../../src/service/store/schema.ts'

/* Who is let in and who is cut by a push: the real lines of the script, with the gate's accounts and processes made up. */

const NOW = Date.UTC(2026, 10, 29)
const home = mkdtempSync(join(tmpdir(), 'os-ssh-sweep-'))
const principals = join(home, 'dir/principals')
afterAll(() => rmSync(home, {recursive: true}))
beforeEach(() => {
  for (const name of ['dir/principals', 'run']) mkdirSync(join(home, name), {recursive: true})
  for (const name of readdirSync(principals)) rmSync(join(principals, name))
})

const id = (n: number) => `00000000-0000-4000-8000-00000000000${n}`
const path = (n: number, state: PathRow['state']) =>
  ({
    ...{
      id: id(n),
      state,
      alias: `100.64.0.${16 + n}`,
      login: `osp000${n}`,
      route: 'attached',
      attachment_id: 'a',
    },
    ...{address: '10.0.0.5', expires_at: NOW + 1000, certificate_until: NOW + 1000},
  }) as PathRow
const desired = (change: Partial<DesiredGate>): DesiredGate => ({
  ...{attachments: [], slots: [], rested: [], slotOf: new Map(), whole: true, now: NOW, paths: []},
  holder: {service: id(0), fence: 1, copy: id(0), who: 'x'},
  ...change,
})

/** @param connected accounts with a process @returns the accounts with a line of their own then, and those that were killed, as they were named */
function push(change: Partial<DesiredGate>, connected: readonly string[] = []) {
  const script = renderGate(desired(change))
  const part = (from: string, to: string) => script.slice(script.indexOf(from), script.indexOf(to))
  const lines = [
    `dir=${home}/dir run=${home}/run`,
    `ps() { cat <<'END'\n${connected.map(one => `${one}\n`).join('')}END\n}`,
    'pkill() { echo "$*"; }',
    part('principals() {', '# --- the tenant networks'),
    part('# --- ended paths', '# --- networks that nobody needs'),
  ]
  const {stdout, status} = spawnSync('sh', ['-s'], {input: lines.join('\n')})
  expect(status).toBe(0)
  return {lets: readdirSync(principals).sort(), kills: stdout.toString().split('\n').filter(Boolean)}
}
const line = (login: string) => readFileSync(join(principals, login), 'utf8')

it('a whole state lets in whom it names, and sweeps out whoever else is there', () => {
  writeFileSync(join(principals, 'osp0007'), 'a line of a path that nobody knows any more\n')
  const paths = [path(1, 'active'), path(2, 'pending'), path(3, 'ended'), path(4, 'failed')]
  expect(push({paths}, ['osp0001', 'osp0001', 'osp0003', 'osp0007', 'osp0008'])).toEqual({
    lets: ['osp0001', 'osp0002'],
    kills: [
      '-KILL -u osp0003,osp0004',
      // Also who is over was connected when it was asked; a second signal harms nobody.
      ...['-KILL -u osp0003', '-KILL -u osp0007', '-KILL -u osp0008'],
    ],
  })
  expect(line('osp0001')).toBe(`restrict,port-forwarding,permitopen="100.64.0.17:22" path-${id(1)}\n`)
})

it('a whole state without a path lets in nobody', () => {
  writeFileSync(join(principals, 'osp0007'), 'x\n')
  expect(push({}, ['osp0007'])).toEqual({lets: [], kills: ['-KILL -u osp0007']})
})

it('a change lets in and cuts those that it is of, and leaves the others alone', () => {
  for (const name of ['osp0001', 'osp0003', 'osp0004', 'osp0009'])
    writeFileSync(join(principals, name), 'x\n')
  const paths = [path(1, 'active'), path(3, 'ended'), path(4, 'failed')]
  expect(push({whole: false, paths, rested: [path(5, 'cut')]}, ['osp0009', 'osp0001'])).toEqual({
    lets: ['osp0001', 'osp0009'],
    // The account that has rested once more: nobody else gets it with a login of before.
    kills: ['-KILL -u osp0003,osp0004,osp0005'],
  })
  expect(line('osp0001')).toContain(`path-${id(1)}`)
})

it.each([
  [NOW, true],
  [NOW + 999, true],
  [NOW + 1000, false],
])('an active path is let in until its end: at %p %p', (now, is) => {
  const {lets, kills} = push({now, paths: [path(1, 'active')]})
  expect([lets, kills]).toEqual(is ? [['osp0001'], []] : [[], ['-KILL -u osp0001']])
})
