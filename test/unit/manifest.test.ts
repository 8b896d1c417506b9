import {spawnSync} from 'node:child_process'
import {cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync} from 'node:fs'

import {expect, it} from '@jest/globals'

const root = new URL('../..', import.meta.url).pathname

it('.oclif.manifest.json is what the commands say now (npm run manifest)', () => {
  const fresh = mkdtempSync('/tmp/os-ssh-manifest-')
  try {
    cpSync(`${root}package.json`, `${fresh}/package.json`)
    // The sources built anew: an old dist must not be able to agree with an old manifest.
    const flags = [
      '-p',
      `${root}tsconfig.json`,
      '--outDir',
      `${fresh}/dist`,
      '--tsBuildInfoFile',
      `${fresh}/info`,
    ]
    spawnSync(`${root}node_modules/.bin/tsc`, flags)
    symlinkSync(`${root}node_modules`, `${fresh}/node_modules`)
    const made = spawnSync(`${root}node_modules/.bin/oclif`, ['manifest'], {cwd: fresh, encoding: 'utf8'})
    expect(made).toMatchObject({status: 0})
    const text = readFileSync(`${fresh}/.oclif.manifest.json`, 'utf8')
    expect(JSON.parse(text)).toEqual(JSON.parse(readFileSync(`${root}.oclif.manifest.json`, 'utf8')))
    for (const [id, {examples}] of Object.entries<{examples?: string[]}>(JSON.parse(text).commands))
      expect({id, examples: examples?.[0]}).toEqual({id, examples: expect.stringMatching(/os-ssh /)})
    // A default that was computed on somebody's machine does not belong there.
    expect(text).not.toMatch(/\/(root|home|work|tmp)\//)
  } finally {
    rmSync(fresh, {recursive: true, force: true})
  }
}, 60_000)
