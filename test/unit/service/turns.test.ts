import {expect, it} from '@jest/globals'

import {Turns} from '../../../src/service/turns.ts'

const tick = () => new Promise<void>(resolve => setImmediate(resolve))

it('lets another project in at once, however many of one wait', async () => {
  const turns = new Turns({perProject: 2, total: 3, waiting: 100})
  const order: string[] = []
  const ask = async (project: string) => {
    const over = await turns.take(project)
    order.push(project)
    return over
  }
  const crowd = Array.from({length: 20}, () => ask('a'))
  await tick()
  expect(order).toEqual(['a', 'a'])
  const over = await ask('b')
  expect(order).toEqual(['a', 'a', 'b'])
  // The whole is full now: whose turn is next goes round.
  const later = [ask('c'), ask('d')]
  await tick()
  expect(order).toHaveLength(3)
  over()
  await tick()
  expect(order.at(-1)).toBe('c')
  ;(await crowd[0])?.()
  await tick()
  expect(order.at(-1)).toBe('a')
  ;(await crowd[1])?.()
  await tick()
  expect(order.at(-1)).toBe('d')
  expect(later).toHaveLength(2)
})

it('ends a turn once, whoever says so again', async () => {
  const turns = new Turns({perProject: 1, total: 1, waiting: 5})
  const over = await turns.take('a')
  const [second, third] = [turns.take('a'), turns.take('a')]
  over()
  over()
  const next = await second
  let got = false
  void third.then(() => {
    got = true
  })
  await tick()
  expect(got).toBe(false)
  next()
  await third
})

it('refuses whoever queues too long a queue, with the time of another try', async () => {
  const turns = new Turns({perProject: 1, total: 9, waiting: 2})
  await turns.take('a')
  void turns.take('a')
  void turns.take('a')
  await expect(turns.take('a')).rejects.toMatchObject({code: 'RATE_LIMITED', retryAfter: 5})
  await expect(turns.take('b')).resolves.toBeTruthy()
})
