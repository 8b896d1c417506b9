import {type ChildProcess, spawn} from 'node:child_process'
import {hash} from 'node:crypto'
import {once} from 'node:events'
import {cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {createServer, type Server} from 'node:http'
import type {AddressInfo} from 'node:net'
import {dirname, join} from 'node:path'

import {afterAll, beforeAll, expect, it, jest} from '@jest/globals'

import {withPackageProxy} from '../../../src/service/deploy/packages/proxy.ts'
import {INSTALL_MS, renderPackages} from '../../../src/service/deploy/packages/render.ts'
import {GateConnection, type ScriptResult} from '../../../src/service/gates/connection.ts'
import {generateKeyPair} from '../../../src/ssh/keys.ts'
import {needOwnNetns} from '../../support/netns.ts'
import {eventually, run} from '../../support/run.ts'

/*
 * A machine without nft, conntrack, and a way to the internet: this one, without these two packages, in namespaces of its own, with its
 * real apt, dpkg and sshd. Its only link is the one that the service comes in by. The repository has this machine's own two
 * packages, packed again.
 */

jest.setTimeout(180_000)

const NETNS = `oslab-bare-${process.pid}`
const [OURS, GUEST, PUBLIC] = ['192.0.2.1', '192.0.2.2', '93.184.216.34']
const PACKAGES = ['nftables', 'conntrack']
const [hostKeys, management] = [generateKeyPair('bare'), generateKeyPair('management')]
let folder: string
let guest: ChildProcess | undefined
let repository: Server
let port: number
let asked: string[] = []
let gate: GateConnection

beforeAll(async () => {
  needOwnNetns()
  folder = mkdtempSync('/var/tmp/os-ssh-bare-')
  await makeRepository()
  await boot()
})
afterAll(async () => {
  await halt()
  repository?.close()
  await run('ip', ['addr', 'del', `${PUBLIC}/32`, 'dev', 'lo'])
  rmSync(folder, {recursive: true, force: true})
})

async function halt(): Promise<void> {
  gate?.close()
  if (guest !== undefined) {
    const over = once(guest, 'exit')
    guest.kill('SIGKILL')
    await over
    guest = undefined
  }
  // By name: with its namespace it goes only some time later.
  await run('ip', ['link', 'delete', 'oslab-bare'])
  await run('ip', ['netns', 'delete', NETNS])
}

async function ok(program: string, ...args: string[]): Promise<string> {
  const {status, stdout, stderr} = await run(program, args)
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`)
  return stdout
}

/** This machine's two packages, and the list of them. */
async function makeRepository(): Promise<void> {
  const entries: string[] = []
  for (const name of PACKAGES) {
    const tree = join(folder, 'trees', name)
    for (const path of (await ok('dpkg', '-L', name)).trim().split('\n')) {
      const there = statSync(path, {throwIfNoEntry: false})
      if (there === undefined || there.isDirectory()) continue
      mkdirSync(dirname(tree + path), {recursive: true})
      cpSync(path, tree + path, {verbatimSymlinks: true})
    }
    const format = ['Package', 'Version', 'Architecture', 'Maintainer', 'Depends', 'binary:Summary']
    const fields = await ok('dpkg-query', '-W', '-f', format.map(one => `\${${one}}\\n`).join(''), name)
    const values = fields.split('\n')
    const control = format
      .map((one, n) => `${one.replace('binary:Summary', 'Description')}: ${values[n]}\n`)
      .join('')
    mkdirSync(join(tree, 'DEBIAN'))
    writeFileSync(join(tree, 'DEBIAN/control'), control)
    const file = join(folder, `${name}.deb`)
    await ok('dpkg-deb', '--root-owner-group', '--build', tree, file)
    entries.push(
      `${control}Filename: ./${name}.deb\nSize: ${statSync(file).size}\nSHA256: ${hash('sha256', readFileSync(file))}\n`,
    )
  }
  writeFileSync(join(folder, 'Packages'), entries.join('\n'))
  repository = createServer((request, response) => {
    asked.push(request.url ?? '')
    const name = /^\/(Packages|\w+\.deb)$/.exec(request.url ?? '')?.[1]
    if (name === undefined) response.writeHead(404).end()
    else response.end(readFileSync(join(folder, name)))
  })
  await once(repository.listen(0, '127.0.0.1'), 'listening')
  port = (repository.address() as AddressInfo).port
}

const INIT = `set -e
  dir=$1
  mount -t tmpfs tmpfs "$dir"
  mkdir "$dir/up" "$dir/work" "$dir/root"
  mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/up,workdir=$dir/work" "$dir/root"
  cd "$dir/root"
  mount -t proc proc proc; mount --bind /dev dev; mount -t tmpfs tmpfs run; mount -t tmpfs -o mode=1777 tmpfs tmp
  mkdir -p run/sshd run/lock
  printf %s "$HOST_KEY" >etc/ssh/bare_key; chmod 600 etc/ssh/bare_key
  printf '%s\\n' "$USER_KEY" >etc/ssh/bare_users
  rm -rf etc/apt/sources.list* etc/apt/apt.conf.d/* etc/apt/preferences.d/* var/lib/apt/lists/*
  exec chroot . sh -ec 'dpkg --purge --force-depends ${PACKAGES.join(' ')} >/dev/null 2>&1
    exec /usr/sbin/sshd -D -e -f /dev/null -h /etc/ssh/bare_key -o AuthorizedKeysFile=/etc/ssh/bare_users -o PidFile=none $0' "$2"`

async function boot(...options: string[]): Promise<void> {
  await ok('ip', 'netns', 'add', NETNS)
  await ok('ip', 'link', 'add', 'oslab-bare', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', NETNS)
  await ok('ip', 'addr', 'add', `${OURS}/30`, 'dev', 'oslab-bare')
  await ok('ip', 'link', 'set', 'oslab-bare', 'up')
  await ok('ip', '-n', NETNS, 'addr', 'add', `${GUEST}/30`, 'dev', 'eth0')
  for (const nic of ['lo', 'eth0']) await ok('ip', '-n', NETNS, 'link', 'set', nic, 'up')
  const root = join(folder, 'guest')
  mkdirSync(root, {recursive: true})
  const spaces = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc']
  guest = spawn(
    'ip',
    ['netns', 'exec', NETNS, ...spaces, 'sh', '-c', INIT, 'init', root, options.join(' ')],
    {
      env: {
        PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
        HOST_KEY: hostKeys.privateKey,
        USER_KEY: management.publicKey,
      },
      stdio: 'inherit',
    },
  )
  const hostKey = hostKeys.publicKey.split(' ').slice(0, 2).join(' ')
  gate = new GateConnection(
    {host: GUEST, port: 22, login: 'root', hostKey},
    management.privateKey,
    () => undefined,
  )
  await eventually(
    () =>
      gate.run('true').then(
        ({status}) => status,
        () => 255,
      ),
    status => status === 0,
    60_000,
  )
}

const from = (source: string) =>
  gate.run(
    `printf '%s\\n' 'deb [trusted=yes] ${source} ./' >/etc/apt/sources.list; rm -rf /var/lib/apt/lists/*`,
  )
const purge = () => gate.run(`dpkg --purge --force-depends ${PACKAGES.join(' ')}`)
const install = (mirrors: readonly string[]): Promise<ScriptResult> =>
  withPackageProxy(gate, mirrors, port => gate.run(renderPackages(port), undefined, INSTALL_MS))

it('is without both, and without a way out', async () => {
  const {stdout} = await gate.run(
    'command -v nft conntrack; ip route get 1.1.1.1; dpkg -l nftables | tail -n 1; true',
  )
  expect(stdout).not.toMatch(/sbin|via|^ii/m)
})

it('installs nothing from a private address that no operator has named, and says why', async () => {
  await from(`http://127.0.0.1:${port}/`)
  const {status, stderr} = await install([])
  expect({status, stderr}).toEqual({
    status: 1,
    stderr: expect.stringContaining(
      `403  127.0.0.1:${port} is neither port 80 nor a mirror of the configuration`,
    ),
  })
  expect(stderr.split('\n').length).toBeLessThan(12)
  expect(asked).toEqual([])
})

it('waits for another apt, installs both from a mirror, and they work', async () => {
  const LOCKS = ['/var/lib/apt/lists/lock', '/var/lib/dpkg/lock-frontend', '/var/lib/dpkg/lock']
  // fcntl(2) locks, as apt and dpkg take them; the second pair is let go of later.
  const hold = `import fcntl, time
files = [open(name, 'w') for name in ${JSON.stringify(LOCKS)}]
for file in files: fcntl.lockf(file, fcntl.LOCK_EX)
print('held', flush=True); time.sleep(3); files[0].close(); time.sleep(3)`
  const held = Promise.withResolvers<void>()
  const holding = gate.run(`exec python3 -c "$(cat <<'EOF'\n${hold}\nEOF\n)"`, () => held.resolve())
  await held.promise
  const begun = Date.now()
  const {status, stderr} = await install([`127.0.0.1:${port}`])
  expect({status, stderr}).toEqual({status: 0, stderr: ''})
  expect(Date.now() - begun).toBeGreaterThan(5500)
  expect(await holding).toMatchObject({status: 0})
  expect(asked).toEqual(expect.arrayContaining(['/Packages', '/nftables.deb', '/conntrack.deb']))
  const works = 'nft add table inet t && nft list ruleset && conntrack -L >/dev/null 2>&1 && dpkg --audit'
  expect(await gate.run(works)).toEqual({status: 0, stdout: 'table inet t {\n}\n', stderr: ''})
})

it('does nothing a second time', async () => {
  asked = []
  expect(await install([`127.0.0.1:${port}`])).toEqual({status: 0, stdout: '', stderr: ''})
  expect(asked).toEqual([])
})

it('leaves no port behind', async () => {
  const listening = () => gate.run('ss -Hltn').then(({stdout}) => stdout.trim().split('\n').length)
  // sshd, on two families
  expect(await eventually(listening, count => count === 2)).toBe(2)
})

it('installs from a public address, which nobody has to name', async () => {
  await ok('ip', 'addr', 'add', `${PUBLIC}/32`, 'dev', 'lo')
  const there = createServer((request, response) => repository.emit('request', request, response))
  await once(there.listen(80, PUBLIC), 'listening')
  await purge()
  await from(`http://${PUBLIC}/`)
  expect(await install([])).toEqual({status: 0, stdout: '', stderr: ''})
  there.close()
  expect((await gate.run('nft list ruleset')).status).toBe(0)
})

it('goes on after an installation that was killed in the middle', async () => {
  await purge()
  await from(`http://127.0.0.1:${port}/`)
  // What dpkg leaves then: changes that are not in its list of packages yet.
  await gate.run('dpkg-query --status sed >/var/lib/dpkg/updates/0000')
  expect(await install([`127.0.0.1:${port}`])).toEqual({status: 0, stdout: '', stderr: ''})
})

it('says that a gate’s sshd forwards no port', async () => {
  await halt()
  await boot('-o AllowTcpForwarding=no')
  await expect(install([])).rejects.toMatchObject({
    code: 'GATE_DOWN',
    message: expect.stringMatching(/^the gate forwards no port: /),
  })
})
