import {existsSync, mkdirSync, readFileSync} from 'node:fs'
import {parseArgs} from 'node:util'

import {Stryker} from '@stryker-mutator/core'

/*
 * npm run mutation [-- folder… | file…]: changes src a little, one change at a time, and tells which ones no unit test notices.
 * What is known from before (out/mutation/) is not asked again, as long as neither the line nor its tests have changed.
 */

interface Mutant {
  readonly status:
    | 'Killed'
    | 'Survived'
    | 'NoCoverage'
    | 'Timeout'
    | 'Ignored'
    | 'CompileError'
    | 'RuntimeError'
  readonly mutatorName: string
  readonly replacement?: string
  readonly location: Record<'start' | 'end', {readonly line: number; readonly column: number}>
}
interface Report {
  readonly files: Record<string, {readonly source: string; readonly mutants: readonly Mutant[]}>
}

const REPORT = 'out/mutation/report.json'
const say = (line: string) => process.stdout.write(`${line}\n`)
const {values, positionals} = parseArgs({
  allowPositionals: true,
  options: {force: {type: 'boolean', default: false}, report: {type: 'boolean', default: false}},
})
const places = positionals.length > 0 ? positionals.map(place => place.replace(/\/+$/, '')) : ['src']
for (const place of places) if (!existsSync(place)) throw new Error(`there is no ${place}`)

if (!values.report) {
  mkdirSync('out/mutation', {recursive: true})
  await new Stryker({
    mutate: places.map(place => (place.endsWith('.ts') ? place : `${place}/**/*.ts`)),
    force: values.force,
  }).runMutationTest()
}

const {files} = JSON.parse(readFileSync(REPORT, 'utf8')) as Report
const wanted = Object.entries(files)
  .filter(([file]) => places.some(place => file === place || file.startsWith(`${place}/`)))
  .sort(([a], [b]) => (a < b ? -1 : 1))

/** On one line, cut where it gets long. */
const brief = (text: string) => {
  const line = text.replace(/\s+/g, ' ').trim()
  return line.length > 70 ? `${line.slice(0, 67)}…` : line
}

/** What stood where the mutant stands. */
function original(source: string, {start, end}: Mutant['location']): string {
  const lines = source.split('\n').slice(start.line - 1, end.line)
  lines[lines.length - 1] = lines.at(-1)?.slice(0, end.column - 1) ?? ''
  lines[0] = lines[0]?.slice(start.column - 1) ?? ''
  return lines.join('\n')
}

const scores = new Map<string, {killed: number; lived: number}>()
for (const [file, {source, mutants}] of wanted) {
  const folder = file.slice(0, file.lastIndexOf('/'))
  const score = scores.get(folder) ?? {killed: 0, lived: 0}
  scores.set(folder, score)
  for (const {status, location, replacement = '', mutatorName} of mutants) {
    if (status === 'Killed' || status === 'Timeout') score.killed++
    if (status !== 'Survived' && status !== 'NoCoverage') continue
    score.lived++
    const where = `${file}:${location.start.line}:${location.start.column}`
    const uncovered = status === 'NoCoverage' ? ' (no test runs it)' : ''
    say(
      `${where} ${mutatorName}${uncovered}\n    - ${brief(original(source, location))}\n    + ${brief(replacement)}`,
    )
  }
}
say(`\n${'folder'.padEnd(28)} score  killed  lived`)
for (const [folder, {killed, lived}] of scores) {
  const score = killed + lived === 0 ? '-' : `${((100 * killed) / (killed + lived)).toFixed(0)} %`
  say(`${folder.padEnd(28)} ${score.padStart(5)} ${String(killed).padStart(7)} ${String(lived).padStart(6)}`)
}
