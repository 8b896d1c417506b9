import {spawnSync} from 'node:child_process'
import {copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, beforeAll, expect, it} from '@jest/globals'

/* The start of a package that brings its own Node. */

const dir = realpathSync(mkdtempSync(join(tmpdir(), 'os-ssh-package-')))
const program = join(dir, 'opt/os ssh/bin/os-ssh')
afterAll(() => rmSync(dir, {recursive: true}))
beforeAll(() => {
  for (const folder of ['opt/os ssh/bin', 'opt/os ssh/runtime', 'usr/bin', 'other'])
    mkdirSync(join(dir, folder), {recursive: true})
  copyFileSync(new URL('../../../bin/os-ssh', import.meta.url), program)
  const node = join(dir, 'opt/os ssh/runtime/node')
  writeFileSync(node, `#!/bin/sh\nfor word; do echo "$word"; done\nexit 7\n`, {mode: 0o755})
  symlinkSync(program, join(dir, 'usr/bin/os-ssh'))
  symlinkSync('../usr/bin/os-ssh', join(dir, 'other/again'))
})

it.each(['opt/os ssh/bin/os-ssh', 'usr/bin/os-ssh', 'other/again'])(
  '%s starts the Node of its package with all words, and its status is the end',
  name => {
    const words = ['connect', 'a b', '', '$(id)', '--', '*']
    const {status, stdout, stderr} = spawnSync(join(dir, name), words, {encoding: 'utf8', cwd: dir})
    expect({status, stdout, stderr}).toEqual({
      ...{status: 7, stderr: ''},
      stdout: [join(dir, 'opt/os ssh/bin/run.js'), ...words, ''].join('\n'),
    })
  },
)
