import {readdirSync, readFileSync} from 'node:fs'
import {relative} from 'node:path'
import {stripVTControlCharacters} from 'node:util'

/* Ends scripts/test: how long each part took, the files that took longest, and the sum of jest's reports in a folder. */

interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numRuntimeErrorTestSuites: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly testResults: readonly {
    readonly name: string
    readonly startTime: number
    readonly endTime: number
    /** Of a file that could not even begin. */
    readonly message: string
    readonly assertionResults: readonly {
      readonly fullName: string
      readonly status: string
      readonly failureMessages: readonly string[]
    }[]
  }[]
}

const LONGEST = 8
/** So many failures are told, each by the beginning of what it says: jest's own words may be far above. */
const [TOLD, WORDS] = [15, 300]
const [folder = ''] = process.argv.slice(2)
const reports = readdirSync(folder)
  .filter(name => name.endsWith('.json'))
  .map(name => ({
    part: name.replace(/^\d-|\.json$/g, ''),
    ...(JSON.parse(readFileSync(`${folder}/${name}`, 'utf8')) as Report),
  }))
const minutes = (seconds: number) => `${(seconds / 60).toFixed(1).padStart(5)} min`
const say = (line: string) => process.stdout.write(`${line}\n`)

const broken: string[] = []
for (const line of readFileSync(`${folder}/times`, 'utf8').trim().split('\n')) {
  const [, seconds = '0', result, name = ''] = /^(\d+) (\d+) (.*)$/.exec(line) ?? []
  say(`${minutes(Number(seconds))}  ${name}`)
  if (result !== '0') broken.push(name)
}
const files = reports.flatMap(({part, testResults}) =>
  testResults.map(({name, startTime, endTime}) => ({
    name: `${relative('.', name)} (${part})`,
    seconds: (endTime - startTime) / 1000,
  })),
)
say('of these:')
for (const {name, seconds} of files.sort((a, b) => b.seconds - a.seconds).slice(0, LONGEST))
  say(`${minutes(seconds)}  ${name}`)
const told = reports.flatMap(({part, testResults}) =>
  testResults.flatMap(({name, message, assertionResults}) => {
    const file = `${relative('.', name)} (${part})`
    if (assertionResults.length === 0 && message !== '') return [[file, message]]
    return assertionResults
      .filter(one => one.status === 'failed')
      .map(one => [`${file}: ${one.fullName}`, one.failureMessages.join(' ')])
  }),
)
for (const [which, why = ''] of told.slice(0, TOLD))
  say(`FAILED ${which}\n       ${stripVTControlCharacters(why).replace(/\s+/g, ' ').slice(0, WORDS)}`)
const sum = (count: (report: Report) => number) => reports.reduce((n, report) => n + count(report), 0)
const failed = sum(one => one.numFailedTests + one.numRuntimeErrorTestSuites)
const skipped = sum(one => one.numPendingTests + one.numTodoTests)
// Not all that can fail is a test: style, a cloud that does not come up, a jest that dies.
if (broken.length > 0) say(`FAILED: ${broken.join(', ')}`)
say(`${sum(one => one.numPassedTests)} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}`)
