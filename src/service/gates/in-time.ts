import {setTimeout as sleep} from 'node:timers/promises'

import {OsSshError} from '../../errors.ts'

/** What a gate is asked, if it answers in time. @param ms so long @param message what is said when it does not @throws OsSshError GATE_DOWN */
export const inTime = <T>(asked: Promise<T>, ms: number, message: string): Promise<T> =>
  Promise.race([
    asked,
    sleep(ms, undefined, {ref: false}).then(() => {
      throw new OsSshError('GATE_DOWN', message)
    }),
  ])
