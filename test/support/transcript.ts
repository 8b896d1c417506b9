/** One command of a transcript: what is typed, what is asked and answered, and what then stands on the screen. */
export interface Step {
  readonly line: number
  readonly command: string
  readonly answers: readonly {question: string; answer: string}[]
  readonly expected: readonly string[]
  readonly status: number
}

/**
 * A file that reads like a session: `$ command`, then what the terminal shows. `> text` is typed in answer to the line
 * before it; `= 64` is the exit status where it is not 0; `…` stands for anything, and alone for any lines; `# ` is a remark.
 */
export function steps(text: string, values: Readonly<Record<string, string>>): Step[] {
  const filled = text.replace(/\{([\w-]+)\}/g, (whole, name: string) => values[name] ?? whole)
  const found: {
    line: number
    command: string
    answers: {question: string; answer: string}[]
    expected: string[]
    status: number
  }[] = []
  for (const [index, line] of filled.split('\n').entries()) {
    const step = found.at(-1)
    if (line.startsWith('$ '))
      found.push({line: index + 1, command: line.slice(2), answers: [], expected: [], status: 0})
    else if (line.startsWith('# ') || step === undefined || line === '') continue
    else if (line.startsWith('= ')) step.status = Number(line.slice(2))
    else if (line.startsWith('> '))
      step.answers.push({
        question: (step.expected.at(-1) ?? '').replace(/^[?✔] /u, '').replace(/ …$/, ''),
        answer: line.slice(2),
      })
    else step.expected.push(line)
  }
  return found
}

/** Said only where something takes its time, which is the machine's to decide. */
const PROGRESS = /^os-ssh: (waiting for|making a path to) /

/** Where the screen is not what was expected; undefined when it is. */
export function difference(expected: readonly string[], shown: readonly string[]): string | undefined {
  const actual = shown.map(line => line.replace(/^✔/u, '?'))
  const fits = (line: string, index: number) => {
    const source = line.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll('…', '.*')
    return new RegExp(`^${source}$`, 'u').test(actual[index] ?? '\0')
  }
  const walk = (at: number, index: number): boolean => {
    const line = expected[at]
    if (line === undefined) return actual.slice(index).every(rest => rest === '' || PROGRESS.test(rest))
    if (line === '…') return walk(at + 1, index) || (index < actual.length && walk(at, index + 1))
    if (fits(line, index)) return walk(at + 1, index + 1)
    const skip = actual[index] === '' || PROGRESS.test(actual[index] ?? '')
    return skip && walk(at, index + 1)
  }
  if (walk(0, 0)) return undefined
  return ['expected:', ...expected, '', 'on the screen:', ...shown].join('\n')
}
