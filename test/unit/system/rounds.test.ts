import {setImmediate as soon} from 'node:timers/promises'

import {expect, test} from '@jest/globals'

import {Rounds} from '../../../src/system/rounds.ts'

/** Rounds that last until they are let go. */
function slow() {
  const open: (() => void)[] = []
  const rounds = new Rounds(() => new Promise(resolve => open.push(resolve)))
  return {rounds, open}
}

test('rounds never overlap, and who asks during one waits for the next', async () => {
  const {rounds, open} = slow()
  const ended: string[] = []
  const ask = (name: string) => rounds.ask().then(() => ended.push(name))
  const all = [ask('first'), ask('late'), ask('later')]
  expect(open.length).toBe(1)
  open[0]?.()
  await soon()
  expect(ended).toEqual(['first'])
  expect(open.length).toBe(2)
  open[1]?.()
  await Promise.all(all)
  expect(ended).toEqual(['first', 'late', 'later'])
  await soon()
  expect(open.length).toBe(2)
})

test('stopped, none begins any more, and nobody waits for ever', async () => {
  const {rounds, open} = slow()
  const [now, next] = [rounds.ask(), rounds.ask()]
  rounds.stop()
  open[0]?.()
  await Promise.all([now, next, rounds.ask()])
  expect(open.length).toBe(1)
})
