import {spawnSync} from 'node:child_process'
import {randomUUID} from 'node:crypto'
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterEach, describe, expect, it, jest} from '@jest/globals'

import {OsSshError} from '../../../src/errors.ts'
import type {Errand, Visitor} from '../../../src/localgw/agent/visitor.ts'

/** Where templates/localgw/visit.py is looked for. */
const product = new URL('../../../', import.meta.url).pathname
let root = product
jest.unstable_mockModule('../../../src/system/directories.ts', () => ({packageRoot: () => root}))
const module = await import('../../../src/localgw/agent/visitor.ts')

/** Visits themselves want root: test/e2e/openstack/localgw.test.ts. Here nobody is at home. */
const LOADS = ['-I', '-c', "import ctypes; ctypes.CDLL('libnftables.so.1')"]
const hasTools = spawnSync('python3', LOADS).status === 0
const withTools = hasTools ? describe : describe.skip
if (!hasTools)
  console.warn('visitor.test.ts is skipped: python3 does not find libnftables.so.1 (libnftables1)')

const visitors: Visitor[] = []
const made: string[] = []
const open = () => {
  const visitor = new module.Visitor()
  visitors.push(visitor)
  return visitor
}
afterEach(() => {
  jest.useRealTimers()
  root = product
  for (const folder of made.splice(0)) rmSync(folder, {recursive: true})
  for (const visitor of visitors.splice(0)) visitor.close()
})

/** A namespace that is not there. */
const nowhere = () => `qrouter-${randomUUID()}`
const visitTo = (namespace: string): Errand => [namespace, 'list tables ip']
const missing = (namespace: string) => ({
  error: `[Errno 2] No such file or directory: '/run/netns/${namespace}'`,
})
/** What no errand is: visit.py has no answer for it, and ends. */
const DEADLY = [[null, null]] as unknown as readonly Errand[]
const died = new OsSshError(
  'LOCAL_TOOL',
  'python3 with libnftables, for the network namespaces: TypeError: can only concatenate str (not "NoneType") to str',
)

withTools('visits', () => {
  it('of a namespace that is not there say so: no devices, and nothing was told', async () => {
    const namespace = nowhere()
    expect(await open().visit([visitTo(namespace)])).toEqual([missing(namespace)])
    expect(await open().visit([[namespace, null]])).toEqual([missing(namespace)])
  })

  it('have an answer for each errand, in their order', async () => {
    const all = Array.from({length: 300}, nowhere)
    expect(await open().visit(all.map(visitTo))).toEqual(all.map(missing))
  })

  it('may be several at once, and each gets its own', async () => {
    const visitor = open()
    const all = Array.from({length: 20}, (_, n) => Array.from({length: n + 1}, nowhere))
    const visits = await Promise.all(all.map(some => visitor.visit(some.map(visitTo))))
    expect(visits).toEqual(all.map(some => some.map(missing)))
  })

  it('are none without errands: Python is not asked at all', async () => {
    const visitor = open()
    const deadly = visitor.visit(DEADLY)
    expect(await visitor.visit([])).toEqual([])
    await expect(deadly).rejects.toThrow(died)
  })

  it('all fail that wait while Python dies, each with the reason; the next one starts another', async () => {
    const visitor = open()
    const before = nowhere()
    const ends = await Promise.allSettled([
      visitor.visit([visitTo(before)]),
      visitor.visit(DEADLY),
      visitor.visit([visitTo(nowhere())]),
      visitor.visit([visitTo(nowhere())]),
    ])
    expect(ends[0]).toEqual({status: 'fulfilled', value: [missing(before)]})
    for (const end of ends.slice(1)) {
      const {reason} = end as PromiseRejectedResult
      expect(reason).toEqual(died)
      expect(reason).toMatchObject({
        code: 'LOCAL_TOOL',
        suggestions: ['apt-get install python3 libnftables1'],
      })
    }
    const after = nowhere()
    expect(await visitor.visit([visitTo(after)])).toEqual([missing(after)])
  })

  it('that were begun are answered when it is closed', async () => {
    const visitor = open()
    const namespace = nowhere()
    const visit = visitor.visit([visitTo(namespace)])
    visitor.close()
    expect(await visit).toEqual([missing(namespace)])
  })

  it('that get no answer for long fail: Python is killed', async () => {
    jest.useFakeTimers({doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask']})
    root = mkdtempSync(join(tmpdir(), 'os-ssh-visitor-'))
    made.push(root)
    const folder = join(root, 'templates', 'localgw')
    mkdirSync(folder, {recursive: true})
    writeFileSync(join(folder, 'visit.py'), 'import sys\nsys.stdin.read()\n')
    const visit = open().visit([visitTo(nowhere())])
    jest.advanceTimersByTime(60_000)
    await expect(visit).rejects.toBeInstanceOf(OsSshError)
  })
})
