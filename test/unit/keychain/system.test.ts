import {execFileSync} from 'node:child_process'
import {chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
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

/** Instead of the helper: notes what it was called with, and answers. */
function answering(answer: string): {env: NodeJS.ProcessEnv; calls: () => readonly unknown[]} {
  const [note, preload] = [join(dir, 'calls'), join(dir, 'preload.mjs')]
  rmSync(note, {force: true})
  writeFileSync(
    preload,
    `import {appendFileSync, readFileSync} from 'node:fs'
    const call = {argv: process.argv.slice(2), env: Object.keys(process.env), input: JSON.parse(readFileSync(0, 'utf8'))}
    appendFileSync(${JSON.stringify(note)}, JSON.stringify(call) + '\\n')
    process.stdout.write(${JSON.stringify(answer)}, () => process.exit(0))`,
  )
  return {
    env: {NODE_OPTIONS: `--import=file://${preload}`},
    calls: () =>
      readFileSync(note, 'utf8')
        .trim()
        .split('\n')
        .map(line => JSON.parse(line)),
  }
}

test('a secret goes to the child through its pipe, never as an argument', async () => {
  const {env, calls} = answering('{"secret": "kept"}')
  const keychain = systemKeychain(env)
  await expect(keychain.set('a', 'hush')).resolves.toBeUndefined()
  await expect(keychain.get('a')).resolves.toBe('kept')
  await expect(keychain.delete('a')).resolves.toBeUndefined()
  const called = (input: object) => ({argv: [], env: expect.not.arrayContaining(['PATH']), input})
  expect(calls()).toEqual([
    called({method: 'set', account: 'a', secret: 'hush'}),
    called({method: 'get', account: 'a'}),
    called({method: 'delete', account: 'a'}),
  ])
})

test('a secret that is empty is one, and none is none', async () => {
  await expect(systemKeychain(answering('{"secret": ""}').env).get('a')).resolves.toBe('')
  await expect(systemKeychain(answering('{"secret": null}').env).get('a')).resolves.toBeUndefined()
})

test.each([
  ['says why', '{"error": "no bus"}', 'no bus'],
  ['dies', '', 'its library does not work on this machine'],
  ['says something else', 'Segmentation fault', 'its library does not work on this machine'],
])('a library that %s is NO_KEYCHAIN, and the reason is its cause', async (_, answer, message) => {
  const keychain = systemKeychain(answering(answer).env)
  const absent = {
    code: 'NO_KEYCHAIN',
    message: 'this machine has no keychain that could keep your key',
    cause: {message},
  }
  await expect(keychain.get('a')).rejects.toMatchObject(absent)
  await expect(keychain.set('a', 'x')).rejects.toMatchObject(absent)
  await expect(keychain.delete('a')).rejects.toMatchObject(absent)
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
