import {afterAll, beforeAll, expect, it} from '@jest/globals'

import {BareGate} from './bare-gate.ts'
import {type Part, statements} from './script-lines.ts'

/** @param gone the lines that are not there, for one that pushes again */
export type Attempt = (gate: BareGate, gone: readonly string[]) => Promise<string>

/** A line of what a gate is made of, and what is tried with it and without it. */
export interface Row {
  readonly line: string
  /** Other lines, taken away both times, that would hide what this one does. */
  readonly walls?: readonly string[]
  /** The gate's root does this before the script, and this after it. */
  readonly before?: string
  readonly given?: string
  /** Namespaces are new each time: what holds for interfaces that come later. */
  readonly fresh?: boolean
  readonly attempt: Attempt
  readonly held: string
  readonly without: string
}

/** Both as in `guard/incoming: drop`; a row may name a part of a line, and what comes in its place. */
function tries(line: string, said: string): boolean {
  const [place = '', ...words] = (line.split(' => ')[0] ?? '').split(': ')
  return said.startsWith(`${place}: `) && said.slice(place.length + 2).includes(words.join(': '))
}

/** Two gates, one of them without the line: what is tried on both. @param prepare what they need beside */
export function attempts(prepare: (gate: BareGate) => Promise<unknown> = async () => undefined) {
  const all: Row[] = []
  let gates: BareGate[] = []
  beforeAll(async () => {
    gates = await Promise.all([BareGate.open(), BareGate.open()])
    await Promise.all(gates.map(gate => prepare(gate).then(() => gate.renew())))
  })
  afterAll(() => {
    for (const gate of gates) gate.close()
  })

  async function tried({line, walls = [], before, given, fresh, attempt, held, without}: Row): Promise<void> {
    const ends = gates.map(async (gate, n) => {
      const gone = n === 0 ? walls : [...walls, line]
      if (before) await gate.sh(before)
      await (fresh ? gate.renew({without: gone}) : gate.push({without: gone, base: before !== undefined}))
      if (given) await gate.sh(given)
      return attempt(gate, gone)
    })
    expect(await Promise.all(ends)).toEqual([held, without])
  }

  return {
    each: (rows: readonly Row[]) => {
      all.push(...rows)
      it.each(rows.map(row => [row.line, row] as const))('%s', (_, row) => tried(row))
    },

    /** What a part says and no row tries. */
    untried: (part: Part): string[] =>
      statements(gates[0]?.script() ?? '', part).filter(said => !all.some(({line}) => tries(line, said))),
  }
}

/** An account of the gate knocks. */
export const account =
  (n: number, to: string, more: {udp?: boolean} = {}): Attempt =>
  gate =>
    gate.knock('gate', to, {account: gate.paths[n]?.login ?? '', ...more})

/** Root knocks, there. */
export const from =
  (space: string, to: string, more: {port?: number; source?: string} = {}): Attempt =>
  gate =>
    gate.knock(space, to, more)

/** Its user, or its VM, speaks over a connection once the path's time is over, as a set's element runs out then. */
export const over =
  (n: number, namespace: string, speaker: 'user' | 'vm' | 'side'): Attempt =>
  async gate => {
    const {login = '', alias = ''} = gate.paths[n] ?? {}
    const held = await gate.hold(login, alias)
    expect(held.first).toMatch(/^(vm|side) /)
    const set = `live${alias.includes(':') ? 6 : 4}`
    await gate.sh(`nft delete element inet os_ssh ${set} '{ ${alias} }'`, namespace)
    const end = await (speaker === 'user' ? held.say('heard') : gate.speak(speaker))
    held.end()
    return end
  }
