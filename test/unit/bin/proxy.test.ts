import {spawn, spawnSync} from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {createServer, type Server} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, beforeAll, beforeEach, expect, test} from '@jest/globals'

import {pathFiles} from '../../../src/access/path-files.ts'
import {hopArguments} from '../../../src/ssh/hop.ts'
import {isAlive} from '../../../src/system/process.ts'
import {eventually} from '../../support/run.ts'

const root = new URL('../../..', import.meta.url).pathname
const dir = mkdtempSync(join(tmpdir(), 'os-ssh-proxy-'))
const [run, cloud, bin] = [join(dir, 'run/os-ssh'), join(dir, 'run/os-ssh/lab'), join(dir, 'b in')]
const id = '3f2a7c1e-0000-4000-8000-000000000001'
const known = join(dir, '.ssh/os-ssh/known_hosts')
let agent: Server

const program = (name: string) => {
  const file = join(bin, name)
  writeFileSync(file, `#!/bin/sh\necho ${name} "$@"\n`)
  chmodSync(file, 0o755)
  return file
}
const started = (script: string, words: string[], env: NodeJS.ProcessEnv = {}, input = '') =>
  spawnSync(script, words, {
    encoding: 'utf8',
    input,
    env: {
      PATH: `${bin}:/usr/bin:/bin`,
      HOME: dir,
      XDG_RUNTIME_DIR: join(dir, 'run'),
      OS_SSH_NODE: join(bin, 'node'),
      ...env,
    },
  })
const start = (...args: Parameters<typeof started>) => started(...args).stdout
/** An ssh that says this and ends so. */
const ssh = (script: string) => writeFileSync(join(bin, 'ssh'), `#!/bin/sh\n${script}\n`)
const path = (until: number) =>
  writeFileSync(pathFiles(cloud, id).state, `${until} fd00::7 22 gate-1 9 path-1 4711\n`)
const files = pathFiles(cloud, id)
const later = Math.floor(Date.now() / 1000) + 3600
const straight = `ssh ${hopArguments({config: files.config, alias: 'fd00::7', port: 22, gate: 'gate-1'}).join(' ')}\n`
const asking = `node ${root}bin/run.js proxy lab ${id} agent\n`

beforeAll(() => {
  for (const made of [join(dir, 'run'), run, cloud, bin]) mkdirSync(made, {mode: 0o700})
  mkdirSync(join(dir, '.ssh/os-ssh'), {recursive: true})
  program('ssh')
  program('node')
  agent = createServer().listen(join(cloud, 'agent'))
})
afterAll(() => {
  agent.close()
  rmSync(dir, {recursive: true})
})
beforeEach(() => {
  path(later)
  program('ssh')
  writeFileSync(known, `${id} ssh-ed25519 AAAA\n`)
})

test('a fresh path becomes ssh, without Node', () => {
  expect(start(`${root}bin/proxy`, ['lab', id, 'agent'])).toBe(straight)
})

test.each([
  ['a refused login', 'debian@gate: Permission denied (publickey).'],
  ['a gate that is gone', 'ssh: connect to host 192.0.2.1 port 22: Connection timed out'],
  ['a channel that is refused', 'channel 0: open failed: administratively prohibited: open failed'],
  ['a connection that is closed at once', 'Connection closed by 192.0.2.1 port 22'],
  ['another host key', 'Host key verification failed.'],
  [
    'a channel that a living connection refuses',
    'Stdio forwarding request failed: Session open refused by peer',
  ],
  ['nothing at all', ''],
])('a hop that fails by %s asks the service once, with all of standard input', (_, words) => {
  ssh(`[ -z '${words}' ] || echo '${words}' >&2; exit 255`)
  program('node')
  writeFileSync(join(bin, 'node'), '#!/bin/sh\necho node "$@"; cat\n')
  const {stdout, stderr, status} = started(`${root}bin/proxy`, ['lab', id, 'agent'], {}, 'SSH-2.0-client')
  // It says how long it took, s, and which path: a busy machine may pass a second's end meanwhile.
  expect({stdout: stdout.replace('--again=1:', '--again=0:'), stderr, status}).toEqual({
    stdout: `${asking.trimEnd()} --again=0:4711\nSSH-2.0-client`,
    stderr: '',
    status: 0,
  })
  program('node')
})

test.each([
  ['a session that was cut', 'Connection to gate closed by remote host.', 255],
  ['a silent gate', 'Timeout, server gate not responding.', 255],
  ['another status', 'ssh: odd', 1],
])('%s is the end: what was sent cannot be sent again', (_, words, code) => {
  ssh(`cat; echo '${words}' >&2; exit ${code}`)
  const {stdout, stderr, status} = started(`${root}bin/proxy`, ['lab', id], {}, 'bytes')
  expect({stdout, stderr, status}).toEqual({stdout: 'bytes', stderr: `${words}\n`, status: code})
})

test('the last try says in one line why there is no way', () => {
  ssh(`echo warning >&2; printf 'ssh: connect to host g port 22: No route to host\\r\\n' >&2; exit 255`)
  const {stdout, stderr, status} = started(`${root}bin/proxy`, ['lab', id], {OS_SSH_PROXY_LAST: '1'})
  expect({stdout, stderr, status}).toEqual({
    stdout: '',
    stderr: 'os-ssh: no way through the gate: ssh: connect to host g port 22: No route to host\n',
    status: 255,
  })
})

test('the last try takes the path whatever its time, and never asks again', () => {
  path(0)
  expect(start(`${root}bin/proxy`, ['lab', id], {OS_SSH_PROXY_LAST: '1'})).toBe(straight)
  rmSync(pathFiles(cloud, id).state)
  expect(started(`${root}bin/proxy`, ['lab', id], {OS_SSH_PROXY_LAST: '1'})).toMatchObject({
    status: 70,
    stdout: '',
    stderr: expect.stringContaining('not there any more'),
  })
})

test('a stale path, none, and no agent ask Node', () => {
  path(1)
  expect(start(`${root}bin/proxy`, ['lab', id, 'agent'])).toBe(asking)
  rmSync(pathFiles(cloud, id).state)
  expect(start(`${root}bin/proxy`, ['lab', id, 'agent'])).toBe(asking)
  expect(start(`${root}bin/proxy`, ['other', id])).toBe(asking.replace('lab', 'other').replace(' agent', ''))
})

test('without the agent, or with something else in its place, Node is asked', async () => {
  const moved = join(dir, 'agent')
  renameSync(join(cloud, 'agent'), moved)
  expect(start(`${root}bin/proxy`, ['lab', id, 'agent'])).toBe(asking)
  writeFileSync(join(cloud, 'agent'), '')
  expect(start(`${root}bin/proxy`, ['lab', id, 'agent'])).toBe(asking)
  renameSync(moved, join(cloud, 'agent'))
  expect(start(`${root}bin/proxy`, ['lab', id, 'agent'])).toBe(straight)
})

test.each(['0770', '0720', '0702', '0750', '0705', '0701'])(
  'a runtime directory of mode %s is not believed: others could put another path there',
  mode => {
    chmodSync(run, Number.parseInt(mode, 8))
    try {
      expect(start(`${root}bin/proxy`, ['lab', id, 'agent'])).toBe(asking)
      // Not as the last word either.
      expect(started(`${root}bin/proxy`, ['lab', id], {OS_SSH_PROXY_LAST: '1'})).toMatchObject({
        ...{status: 70, stdout: ''},
        stderr: 'os-ssh: the path that was just made is not there any more\n',
      })
    } finally {
      chmodSync(run, 0o700)
    }
  },
)

test.each(['0700', '2700', '1700', '0500'])('one of mode %s is: nobody else gets in', mode => {
  chmodSync(run, Number.parseInt(mode, 8))
  expect(start(`${root}bin/proxy`, ['lab', id, 'agent'])).toBe(straight)
  chmodSync(run, 0o700)
})

// Only root can give a directory to somebody.
const asRoot = process.getuid?.() === 0 ? test : test.skip
asRoot('a runtime directory of another user is not believed, private as it may be', () => {
  chownSync(run, 65534, 65534)
  try {
    expect(start(`${root}bin/proxy`, ['lab', id, 'agent'])).toBe(asking)
  } finally {
    chownSync(run, 0, 0)
  }
})

test('a gate that dies under a master is a failure, though ssh ends with 0', () => {
  ssh('echo "mux_client_request_stdio_fwd: read from master failed: Broken pipe" >&2; exit 0')
  expect(started(`${root}bin/proxy`, ['lab', id, 'agent']).stdout.replace(/=\d:/, '=0:')).toBe(
    `${asking.trimEnd()} --again=0:4711\n`,
  )
})

test('what fails after two minutes was a session: it is not tried again; a clock that was set back is no time at all', () => {
  const clock = join(bin, 'date')
  writeFileSync(join(dir, 'now'), '1')
  // It is asked when it begins and when it has ended.
  writeFileSync(
    clock,
    `#!/bin/sh\nread n <'${dir}/now'; echo $((n + 1)) >'${dir}/now'; echo $((1000 + n * STEP))\n`,
    {mode: 0o755},
  )
  ssh(`echo 'Connection closed by 192.0.2.1 port 22' >&2; exit 255`)
  try {
    const after = (step: number) => started(`${root}bin/proxy`, ['lab', id, 'agent'], {STEP: String(step)})
    expect(after(121)).toMatchObject({
      ...{status: 255, stdout: '', stderr: 'Connection closed by 192.0.2.1 port 22\n'},
    })
    for (const [step, seconds] of [
      [120, 120],
      [-9, 0],
    ] as const)
      expect(after(step)).toMatchObject({
        ...{status: 0, stdout: `${asking.trimEnd()} --again=${seconds}:4711\n`, stderr: ''},
      })
  } finally {
    rmSync(clock)
  }
})

test('what ssh says is not left lying about, and whose last word it is not handed on', () => {
  ssh(`echo words >&2; echo "last: $OS_SSH_PROXY_LAST"; exit 3`)
  const env = {OS_SSH_PROXY_LAST: '1'}
  expect(started(`${root}bin/proxy`, ['lab', id], env)).toMatchObject({
    ...{status: 3, stdout: 'last: \n', stderr: 'words\n'},
  })
  expect(readdirSync(cloud).filter(name => name.includes('.err'))).toEqual([])
})

test.each(['SIGTERM', 'SIGHUP', 'SIGINT'] as const)('%s of ssh ends the hop, too', async signal => {
  const pidFile = join(dir, `hop-${signal}`)
  ssh(`echo $$ >'${pidFile}.new'; mv '${pidFile}.new' '${pidFile}'; exec sleep 60`)
  const env = {PATH: `${bin}:/usr/bin:/bin`, HOME: dir, XDG_RUNTIME_DIR: join(dir, 'run')}
  const proxy = spawn(`${root}bin/proxy`, ['lab', id], {env, stdio: 'ignore'})
  await eventually(
    async () => existsSync(pidFile),
    there => there,
  )
  const hop = Number(readFileSync(pidFile, 'utf8'))
  expect(isAlive(hop)).toBe(true)
  proxy.kill(signal)
  const lives = await eventually(
    async () => isAlive(hop),
    alive => !alive,
    10_000,
  )
  if (lives) process.kill(hop)
  expect(lives).toBe(false)
})

test('a host key that is not pinned any more is asked for: ssh would refuse the VM until the path is renewed', () => {
  for (const line of ['3f2a7c1e-0000-4000-8000-000000000002 ssh-ed25519 AAAA', `# ${id} ssh-ed25519 AAAA`]) {
    writeFileSync(known, `${line}\n`)
    expect(start(`${root}bin/proxy`, ['lab', id, 'agent'])).toBe(asking)
  }
  rmSync(known)
  expect(start(`${root}bin/proxy`, ['lab', id, 'agent'])).toBe(asking)
})

test('without any Node it says which one it needs, and where it looked', () => {
  path(1)
  mkdirSync(join(dir, 'bare/bin'), {recursive: true})
  spawnSync('cp', [`${root}bin/proxy`, join(dir, 'bare/bin/proxy')])
  mkdirSync(join(dir, 'state/os-ssh'), {recursive: true})
  writeFileSync(join(dir, 'state/os-ssh/node'), '/opt/node-24/bin/node\n')
  // The directory of sh and its tools, without a node.
  mkdirSync(join(dir, 'tools'))
  for (const tool of ['sh', 'id', 'date', 'grep', 'dirname', 'cat', 'sed', 'tr', 'readlink', 'rm'])
    symlinkSync(spawnSync('which', [tool], {encoding: 'utf8'}).stdout.trim(), join(dir, 'tools', tool))
  const env = {OS_SSH_NODE: '', PATH: join(dir, 'tools'), XDG_STATE_HOME: join(dir, 'state')}
  expect(started(join(dir, 'bare/bin/proxy'), ['lab', id], env)).toMatchObject({
    status: 69,
    stdout: '',
    stderr:
      `os-ssh: Node.js 24.15 or newer is needed and not found: not /opt/node-24/bin/node, and no node in ${dir}/tools\n` +
      'os-ssh: start any os-ssh command once, and its Node is remembered; or set OS_SSH_NODE\n',
  })
})

test('a damaged path file asks Node', () => {
  writeFileSync(pathFiles(cloud, id).state, 'soon $(id)\n')
  expect(start(`${root}bin/proxy`, ['lab', id, 'agent'])).toBe(asking)
})

test('a runtime directory that is a symlink is not believed', () => {
  symlinkSync(run, join(dir, 'os-ssh'))
  expect(start(`${root}bin/proxy`, ['lab', id, 'agent'], {XDG_RUNTIME_DIR: dir})).toBe(asking)
})

test('it works through symlinks, and finds the Node that was remembered', () => {
  path(1)
  symlinkSync(`${root}bin/proxy`, join(bin, 'one'))
  symlinkSync('one', join(bin, 'two'))
  mkdirSync(join(dir, '.local/state/os-ssh'), {recursive: true})
  writeFileSync(join(dir, '.local/state/os-ssh/node'), `${join(bin, 'node')}\n`)
  // The package's own Node comes first where there is one; a copy of the package has none.
  mkdirSync(join(dir, 'copy/bin'), {recursive: true})
  spawnSync('cp', [`${root}bin/proxy`, join(dir, 'copy/bin/proxy')])
  expect(start(join(bin, 'two'), ['lab', id, 'agent'])).toBe(asking)
  expect(start(join(dir, 'copy/bin/proxy'), ['lab', id], {OS_SSH_NODE: '', PATH: '/usr/bin:/bin'})).toBe(
    `node ${dir}/copy/bin/run.js proxy lab ${id}\n`,
  )
})

test('the Node that a package brings comes before the one that was remembered', () => {
  path(1)
  mkdirSync(join(dir, 'own/bin'), {recursive: true})
  mkdirSync(join(dir, 'own/runtime'))
  spawnSync('cp', [`${root}bin/proxy`, join(dir, 'own/bin/proxy')])
  writeFileSync(join(dir, 'own/runtime/node'), '#!/bin/sh\necho packaged "$@"\n', {mode: 0o755})
  expect(start(join(dir, 'own/bin/proxy'), ['lab', id], {OS_SSH_NODE: ''})).toBe(
    `packaged ${dir}/own/bin/run.js proxy lab ${id}\n`,
  )
})

test('an odd cloud name goes to Node as it is', () => {
  expect(start(`${root}bin/proxy`, ['my cloud; $(id)', id])).toBe(
    `node ${root}bin/run.js proxy my cloud; $(id) ${id}\n`,
  )
})
