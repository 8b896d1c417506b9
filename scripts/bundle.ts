import {cpSync, existsSync, globSync, mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {isBuiltin} from 'node:module'
import {basename, join} from 'node:path'

import {build, type Plugin} from 'esbuild'

/* The package that is installed: our modules and the libraries' in one folder dist/, of the same shape as tsc's. */

/** What bin/run.js loads, and what is started as a process of its own (programFile of src/system/directories.ts). */
const PROGRAMS = [
  'errors',
  'access/proxy',
  'access/connect',
  'access/faults',
  'ui/prompts',
  'ui/faults',
  'ui/main',
  'keychain/helper',
  'embedded/main',
]
/** Machine code does not go into a bundle: these are installed beside it. */
export const NATIVE = ['better-sqlite3', '@napi-rs/keyring']
/** Libraries do without these, and we do not have them: built at installation (ssh2's), or another way to PostgreSQL. */
const ABSENT = ['cpu-features', 'pg-native', '*.node']
const SHIPPED = ['README.md', 'CHANGELOG.md', '.oclif.manifest.json', 'docs', 'samples', 'templates']
const LICENCE = /^(licen[cs]e|copying|notice)/i

interface PackageJson {
  readonly name: string
  readonly version: string
  readonly license?: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly [field: string]: unknown
}

export const readPackage = (folder: string): PackageJson =>
  JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))

/** package.json of what is installed: nothing to run at installation, and only what is not in the bundle to get. @throws Error */
export function installedPackage(ours: PackageJson): PackageJson {
  const {name, version, description, type, bin, engines, oclif} = ours
  const versionOf = (native: string) => {
    const own = ours.dependencies?.[native]
    if (own === undefined) throw new Error(`${native} is not among the dependencies`)
    return own
  }
  const dependencies = Object.fromEntries(NATIVE.map(native => [native, versionOf(native)]))
  return {name, version, private: true, description, type, bin, engines, oclif, dependencies}
}

/** The folders of packages that these files are of, each once. @param files as in esbuild's metafile */
export function packagesOf(files: readonly string[]): string[] {
  const folders = files.map(file => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0])
  return [...new Set(folders.filter(folder => folder !== undefined))].sort()
}

/** The licence texts of these packages, one after the other. @throws Error when one has neither a text nor a name of a licence */
function licences(folders: readonly string[]): string {
  return folders
    .map(folder => {
      const {name, version, license} = readPackage(folder)
      const texts = readdirSync(folder)
        .filter(file => LICENCE.test(file) && !/\.(js|ts)$/.test(file))
        .map(file => readFileSync(join(folder, file), 'utf8').trim())
      if (texts.length === 0 && !license) throw new Error(`${folder} says nothing of its licence`)
      return [`${'='.repeat(80)}\n${name} ${version} (${license ?? 'as follows'})`, ...texts].join('\n\n')
    })
    .join('\n\n')
}

/** Beside what a module is bundled into there is none of its neighbours. @throws Error */
function checkSources(): void {
  for (const file of globSync('{src,commands}/**/*.ts'))
    if (/\bimport\.meta\b/.test(readFileSync(file, 'utf8')) && file !== 'src/system/directories.ts')
      throw new Error(`${file} uses import.meta, which is another file's in a bundle: see programFile`)
  for (const program of PROGRAMS)
    if (!existsSync(`src/${program}.ts`))
      throw new Error(`src/${program}.ts, a program of the bundle, is not there`)
}

/** A CommonJS library that we import lazily has all the names that Node finds in it: esbuild alone gives it `default` only. */
const lazyNames: Plugin = {
  name: 'lazy-names',
  setup({onLoad, onResolve}) {
    onResolve({filter: /^[^./]/}, async ({path, kind, importer, resolveDir}) => {
      const theirs = importer.includes('node_modules') || isBuiltin(path) || NATIVE.includes(path)
      if (kind !== 'dynamic-import' || theirs) return undefined
      const names = Object.keys(await import(path))
      // Node's mark of CommonJS.
      if (!names.includes('module.exports')) return undefined
      return {path, namespace: 'lazy', pluginData: {names, resolveDir}}
    })
    onLoad({filter: /./, namespace: 'lazy'}, ({path, pluginData: {names, resolveDir}}) => {
      const own = names.filter(
        (name: string) => /^[a-z$_][\w$]*$/i.test(name) && !/^(default|__esModule)$/.test(name),
      )
      const contents = `const all = require('${path}')\nexport default all\nexport const {${own}} = all`
      return {contents, resolveDir}
    })
  },
}

/** Writes the package to a folder, which is made. In the repository's root. @throws Error */
export async function bundle(into: string): Promise<void> {
  checkSources()
  const commands = globSync('commands/**/*.ts').filter(file => basename(file) !== 'base.ts')
  const {metafile} = await build({
    entryPoints: [...PROGRAMS.map(program => `src/${program}.ts`), ...commands],
    outdir: join(into, 'dist'),
    outbase: '.',
    // What several of them use is in files of its own, so that each loads only what it needs.
    splitting: true,
    chunkNames: 'chunks/[hash]',
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node24.15',
    external: [...NATIVE, ...ABSENT],
    // Many libraries are CommonJS, which a module has no such names for.
    define: {__dirname: 'import.meta.dirname', __filename: 'import.meta.filename'},
    banner: {
      js: "import {createRequire as bundleRequire} from 'node:module'; const require = bundleRequire(import.meta.url)",
    },
    plugins: [lazyNames],
    metafile: true,
    logLevel: 'warning',
  })
  for (const path of SHIPPED) cpSync(path, join(into, path), {recursive: true})
  mkdirSync(join(into, 'bin'))
  for (const file of ['run.js', 'proxy']) cpSync(`bin/${file}`, join(into, 'bin', file))
  writeFileSync(
    join(into, 'package.json'),
    `${JSON.stringify(installedPackage(readPackage('.')), null, 2)}\n`,
  )
  const intro = 'os-ssh contains these packages, under their own licences.'
  writeFileSync(
    join(into, 'LICENSES.txt'),
    `${intro}\n\n${licences(packagesOf(Object.keys(metafile.inputs)))}\n`,
  )
}
