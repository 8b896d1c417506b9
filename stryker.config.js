/* `npm run mutation`: what is mutated, what is left out and why is in docs/tests.md. */
export default {
  plugins: ['./test/mutation/runner.js', './test/mutation/noise.js', './test/mutation/report.ts'],
  testRunner: 'jest',
  testRunnerNodeArgs: ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'],
  jest: {
    configFile: 'jest.config.js',
    config: {testMatch: ['<rootDir>/test/unit/**/*.test.ts']},
    enableFindRelatedTests: true,
  },
  coverageAnalysis: 'perTest',
  ignorers: ['noise'],
  concurrency: 2,
  // Not the five seconds of the default: a busy machine is no endless loop, which is found by counting anyway.
  timeoutMS: 30_000,
  // Modules of node:vm are never given back: a worker grows by up to 80 MB a mutant.
  maxTestRunnerReuse: 15,
  incremental: true,
  incrementalFile: 'out/mutation/incremental.json',
  tempDirName: 'out/mutation/sandbox',
  // A second biome.json would be found by the first.
  ignorePatterns: ['/out', '/dist', '/coverage', '/biome.json'],
  // Types are stripped, never checked, and Stryker would rewrite a tsconfig.json by an API that TypeScript 7 has not.
  disableTypeChecks: false,
  tsconfigFile: '.none',
  reporters: ['progress-append-only', 'folders'],
  allowEmpty: true,
}
