import {expect, test} from '@jest/globals'

import {installedPackage, packagesOf} from '../../../scripts/bundle.ts'

const ours = {
  name: 'os-ssh',
  version: '1.2.3',
  private: true,
  type: 'module',
  bin: {'os-ssh': 'bin/run.js'},
  engines: {node: '>=24.15'},
  oclif: {bin: 'os-ssh'},
  files: ['bin'],
  scripts: {build: 'tsc'},
  allowScripts: {esbuild: true},
  dependencies: {'@napi-rs/keyring': '2.1.2', 'better-sqlite3': '13.2.0', fastify: '5.12.8'},
  devDependencies: {esbuild: '0.28.2'},
}

test('what is installed gets the native packages alone, of our versions, and runs nothing', () => {
  expect(installedPackage(ours)).toEqual({
    name: 'os-ssh',
    version: '1.2.3',
    private: true,
    type: 'module',
    bin: {'os-ssh': 'bin/run.js'},
    engines: {node: '>=24.15'},
    oclif: {bin: 'os-ssh'},
    dependencies: {'@napi-rs/keyring': '2.1.2', 'better-sqlite3': '13.2.0'},
  })
})

test('a native package that we do not depend on is no package of any version', () => {
  expect(() => installedPackage({...ours, dependencies: {}})).toThrow('better-sqlite3')
})

test('the packages that files are of: scoped ones, nested ones, each once, ours not', () => {
  const files = [
    'src/errors.ts',
    'node_modules/yaml/dist/index.js',
    'node_modules/yaml/dist/doc.js',
    'node_modules/@oclif/core/lib/index.js',
    'node_modules/string-width/node_modules/strip-ansi/index.js',
    'lazy:yaml',
  ]
  expect(packagesOf(files)).toEqual([
    'node_modules/@oclif/core',
    'node_modules/string-width/node_modules/strip-ansi',
    'node_modules/yaml',
  ])
})
