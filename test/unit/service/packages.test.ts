import {spawnSync} from 'node:child_process'

import {expect, it} from '@jest/globals'

import {renderPackages} from '../../../src/service/deploy/packages/render.ts'
import {expectGolden} from '../../support/golden.ts'

it('is what a reviewer has read, and sh understands it', () => {
  const script = renderPackages(40_000)
  expectGolden('gate/packages.sh', script)
  expect(spawnSync('sh', ['-n'], {input: script, encoding: 'utf8'})).toMatchObject({status: 0, stderr: ''})
})

it('without a port, no proxy is named', () => {
  const script = renderPackages()
  expect(script).not.toMatch(/127\.0\.0\.1|[Pp]roxy=/)
  expect(spawnSync('sh', ['-n'], {input: script, encoding: 'utf8'})).toMatchObject({status: 0, stderr: ''})
})

it.each([0, -1, 1.5, 65_536, Number.NaN, '1;reboot' as unknown as number])('%s is no port', port => {
  expect(() => renderPackages(port)).toThrow(TypeError)
})
