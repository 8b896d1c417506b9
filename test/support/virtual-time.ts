import {jest} from '@jest/globals'

/* Sleep that takes no time: the clock of the cloud moves. What is to sleep so must be imported after this, by `await import`. */

/** No test lasts longer by its own clock, ms: what is tried for ever is noticed. */
const LONGEST_MS = 24 * 3_600_000

/** Something with a clock, epoch ms. */
interface Clocked {
  now: number
}

let cloud: Clocked | undefined
let since = 0

/** Whose clock moves. */
export function clockOf(fake: Clocked): void {
  cloud = fake
  since = fake.now
}

jest.unstable_mockModule('node:timers/promises', () => ({
  setTimeout: async (ms: number) => {
    await new Promise(done => setImmediate(done))
    if (cloud === undefined) return
    cloud.now += ms
    if (cloud.now - since > LONGEST_MS) throw new Error('this goes on for ever')
  },
}))
