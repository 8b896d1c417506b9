import {readFileSync} from 'node:fs'
import {relative} from 'node:path'

import type {MutantResult, schema} from '@stryker-mutator/api/core'
import {declareClassPlugin, PluginKind} from '@stryker-mutator/api/plugin'
import type {Reporter} from '@stryker-mutator/api/report'

/* Each mutant that lives as soon as it is known, and at the end a score a folder. */

const WIDTH = 90
const say = (line: string) => process.stdout.write(`${line}\n`)

/** On one line, cut where it gets long. */
function brief(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim()
  return line.length > WIDTH ? `${line.slice(0, WIDTH - 1)}…` : line
}

/** What stands where the mutant would. */
function original({fileName, location: {start, end}}: MutantResult): string {
  const lines = readFileSync(fileName, 'utf8')
    .split('\n')
    .slice(start.line - 1, end.line)
  lines.push((lines.pop() ?? '').slice(0, end.column - 1))
  return lines.join('\n').slice(start.column - 1)
}

class Folders implements Reporter {
  onMutantTested(mutant: Readonly<MutantResult>): void {
    if (mutant.status !== 'Survived' && mutant.status !== 'NoCoverage') return
    const where = `${relative('.', mutant.fileName)}:${mutant.location.start.line}:${mutant.location.start.column}`
    const uncovered = mutant.status === 'NoCoverage' ? ', which no test runs' : ''
    say(`${where} ${mutant.mutatorName}${uncovered}`)
    say(`  - ${brief(original(mutant))}\n  + ${brief(mutant.replacement ?? '')}`)
  }

  onMutationTestReportReady({files}: Readonly<schema.MutationTestResult>): void {
    const scores = new Map<string, {killed: number; lived: number; late: number}>()
    for (const [file, {mutants}] of Object.entries(files)) {
      const folder = file.slice(0, file.lastIndexOf('/'))
      const score = scores.get(folder) ?? {killed: 0, lived: 0, late: 0}
      scores.set(folder, score)
      for (const {status} of mutants) {
        if (status === 'Killed') score.killed++
        if (status === 'Timeout') score.late++
        if (status === 'Survived' || status === 'NoCoverage') score.lived++
      }
    }
    say(`\n${'folder'.padEnd(28)} score  killed  timed out  lived`)
    for (const [folder, {killed, lived, late}] of [...scores].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const all = killed + late + lived
      const score = all === 0 ? '-' : `${Math.floor((100 * (killed + late)) / all)} %`
      const numbers = `${String(killed).padStart(7)} ${String(late).padStart(10)} ${String(lived).padStart(6)}`
      say(`${folder.padEnd(28)} ${score.padStart(5)} ${numbers}`)
    }
  }
}

export const strykerPlugins = [declareClassPlugin(PluginKind.Reporter, 'folders', Folders)]
