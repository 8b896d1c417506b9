import {readFileSync, writeFileSync} from 'node:fs'

import {commonTokens, declareFactoryPlugin, PluginKind, tokens} from '@stryker-mutator/api/plugin'
import {strykerPlugins as jestPlugins} from '@stryker-mutator/jest-runner'

/*
 * Stryker's runner for jest loads every file that is related to a mutated one, for each mutant, which takes ten times as long.
 * This one gives it the files that cover the mutant, first the one that has killed most, and the others only if that does not.
 * One that is static, of which nobody knows who covers it, meets the files that run anything of its own file.
 */

/** In the sandbox, for the other workers: the dry run is done by one. */
const COVERING = '.covering.json'

/** @returns of each test the files that have one of this name, of each mutated file the test files that run some of it */
function covering({tests, mutantCoverage}, mutated) {
  const testFiles = {}
  for (const {id, fileName} of tests) testFiles[id] = [...(testFiles[id] ?? []), fileName]
  const perTest = Object.entries(mutantCoverage?.perTest ?? {})
  const files = {}
  for (const file of mutated) {
    const source = readFileSync(file, 'utf8')
    const ids = new Set([...source.matchAll(/\bstryMutAct_\w+\("(\d+)"\)/g)].map(([, id]) => id))
    const running = perTest.filter(([, hits]) => Object.keys(hits).some(id => ids.has(id)))
    files[file] = [...new Set(running.flatMap(([test]) => testFiles[test] ?? []))]
  }
  return {testFiles, files}
}

/** The test files of one mutant in two parts, the more telling first. Undefined is whatever is related: it may read a constant. */
function parts({testFilter, sandboxFileName}, known, kills) {
  const files = testFilter
    ? [...new Set(testFilter.flatMap(id => known.testFiles[id] ?? []))]
    : (known.files[sandboxFileName] ?? [])
  if (files.length === 0) return [undefined]
  files.sort((a, b) => (kills.get(b) ?? 0) - (kills.get(a) ?? 0))
  return [files.slice(0, 1), files.slice(1)].filter(part => part.length > 0)
}

function runnerFactory(injector) {
  const runner = injector.injectFunction(jestPlugins[0].factory)
  const jest = runner.jestTestAdapter
  const run = jest.run.bind(jest)
  const kills = new Map()
  let known
  let chosen
  jest.run = settings =>
    run(chosen ? {...settings, fileNamesUnderTest: undefined, testFiles: chosen} : settings)
  return {
    init: () => runner.init(),
    capabilities: () => runner.capabilities(),
    async dryRun(options) {
      const result = await runner.dryRun(options)
      if (result.status === 'complete')
        writeFileSync(COVERING, JSON.stringify(covering(result, options.files ?? [])))
      return result
    },
    async mutantRun(options) {
      known ??= JSON.parse(readFileSync(COVERING, 'utf8'))
      let result
      for (chosen of parts(options, known, kills)) {
        result = await runner.mutantRun(options)
        if (result.status === 'killed' && chosen) kills.set(chosen[0], (kills.get(chosen[0]) ?? 0) + 1)
        if (result.status !== 'survived') break
      }
      return result
    },
  }
}
runnerFactory.inject = tokens(commonTokens.injector)

export const strykerPlugins = [declareFactoryPlugin(PluginKind.TestRunner, 'jest', runnerFactory)]
export {strykerValidationSchema} from '@stryker-mutator/jest-runner'
