import {beforeEach, expect, it} from '@jest/globals'

import {Alarm} from '../../../src/service/gates/alarm.ts'
import type {Jobs} from '../../../src/service/jobs.ts'

let now: number
let timers: {at: number; run: () => unknown}[]
let rung: number[]
let alarm: Alarm
beforeEach(() => {
  ;[now, timers, rung] = [1000, [], []]
  const jobs = {
    later: (ms: number, run: () => unknown) => timers.push({at: now + ms, run}),
  } as unknown as Jobs
  alarm = new Alarm({jobs, clock: () => now}, () => rung.push(now))
})
const until = (end: number) => {
  for (; now < end; now += 100)
    for (const timer of timers.filter(one => one.at === now)) {
      timers = timers.filter(one => one !== timer)
      timer.run()
    }
}

it('rings once for all who ask for that time or a later one', () => {
  alarm.in(1000)
  alarm.in(5000)
  alarm.in(1000)
  until(10_000)
  expect(rung).toEqual([2000])
})

it('rings earlier for who asks for that', () => {
  alarm.in(5000)
  alarm.in(1000)
  until(10_000)
  expect(rung).toEqual([2000])
})

it('a gate that is down is tried at a steady pace, however often it is said that it is', () => {
  const again = new Alarm(
    {
      jobs: {later: (ms: number, run: () => unknown) => timers.push({at: now + ms, run})} as unknown as Jobs,
      clock: () => now,
    },
    () => {
      rung.push(now)
      again.in(1000)
      again.in(5000)
    },
  )
  again.in(1000)
  until(32_000)
  expect(rung).toHaveLength(30)
})
