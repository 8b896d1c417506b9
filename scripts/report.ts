import {readdirSync, readFileSync} from 'node:fs'
import {relative} from 'node:path'

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
  }[]
}

const LONGEST = 8
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
const sum = (count: (report: Report) => number) => reports.reduce((n, report) => n + count(report), 0)
const failed = sum(one => one.numFailedTests + one.numRuntimeErrorTestSuites)
const skipped = sum(one => one.numPendingTests + one.numTodoTests)
// Not all that can fail is a test: style, a cloud that does not come up, a jest that dies.
if (broken.length > 0) say(`FAILED: ${broken.join(', ')}`)
say(`${sum(one => one.numPassedTests)} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}`)
