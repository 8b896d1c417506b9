import {execFileSync} from 'node:child_process'
import {chmodSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, expect, test} from '@jest/globals'

import {systemKeychain} from '../../../src/keychain/system.ts'

const dir = mkdtempSync(join(tmpdir(), 'os-ssh-keychain-'))
afterAll(() => rmSync(dir, {recursive: true, force: true}))
const module = new URL('../../../src/keychain/system.ts', import.meta.url).href

/** A session bus of its own with gnome-keyring, unlocked by an empty password as a login would. */
function inSession(code: string): string {
  chmodSync(dir, 0o700)
  const script = join(dir, 'script.ts')
  writeFileSync(
    script,
    `import {systemKeychain} from '${module}'\nconst keychain = systemKeychain()\n${code}`,
  )
  const start = 'printf x | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1; exec "$@"'
  return execFileSync('dbus-run-session', ['--', 'sh', '-c', start, 'sh', process.execPath, script], {
    encoding: 'utf8',
    env: {PATH: process.env['PATH'], HOME: dir, XDG_RUNTIME_DIR: dir},
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

test('a real Secret Service keeps, replaces and forgets', () => {
  const said = inSession(`
    console.log(await keychain.get('a'))
    await keychain.set('a', 'one\\n"two"')
    await keychain.set('b', 'other')
    await keychain.set('a', 'tw\\u00f6\\nlines')
    console.log(JSON.stringify(await keychain.get('a')))
    await keychain.delete('a')
    await keychain.delete('a')
    console.log(await keychain.get('a'), await keychain.get('b'))
  `)
  expect(said).toBe('undefined\n"twö\\nlines"\nundefined other\n')
}, 30_000)

test('without a Secret Service it is NO_KEYCHAIN, with what to do', async () => {
  const nowhere = systemKeychain({
    PATH: process.env['PATH'],
    DBUS_SESSION_BUS_ADDRESS: `unix:path=${dir}/none`,
  })
  await expect(nowhere.set('a', 'x')).rejects.toMatchObject({code: 'NO_KEYCHAIN', exit: 69})
  await expect(nowhere.get('a')).rejects.toMatchObject({
    suggestions: [expect.stringMatching(/--keychain agent/)],
  })
})

test('a bus that never answers is given up', async () => {
  const {createServer} = await import('node:net')
  const silent = createServer().listen(join(dir, 'silent'))
  try {
    const hanging = systemKeychain({
      PATH: process.env['PATH'],
      DBUS_SESSION_BUS_ADDRESS: `unix:path=${dir}/silent`,
    })
    await expect(hanging.get('a')).rejects.toMatchObject({
      code: 'NO_KEYCHAIN',
      message: 'this machine has no keychain that could keep your key',
      cause: {message: expect.stringMatching(/did not answer/)},
    })
  } finally {
    silent.close()
  }
})
