import {describe, expect, it} from '@jest/globals'
import fc from 'fast-check'

import {EXCEPTIONS, type Heartbeat, heartbeatText, readHeartbeat} from '../../../src/snat/heartbeat.ts'

const LINE =
  'os-ssh-lsnat/1 2026-11-29T06:30:00Z per-router local=12 other=5 0a1b2c3d:fallback 4e5f6a7b:probing +3'
const digits = fc.stringMatching(/^[0-9a-f]{8}$/)
const heartbeat: fc.Arbitrary<Heartbeat> = fc.record({
  at: fc.integer({min: 0, max: 253_402_300_799}).map(s => s * 1000),
  sharing: fc.constantFrom('per-router', 'per-node'),
  local: fc.nat(9999),
  exceptions: fc.array(fc.record({router: digits, state: fc.constantFrom(...EXCEPTIONS)}), {maxLength: 40}),
  more: fc.nat(9999),
})

describe('a heartbeat', () => {
  it('is one line', () => {
    const said: Heartbeat = {
      at: Date.parse('2026-11-29T06:30:00.789Z'),
      sharing: 'per-router',
      local: 12,
      exceptions: [
        {router: '0a1b2c3d-0000-4000-8000-000000000001', state: 'fallback'},
        {router: '4e5f6a7b', state: 'probing'},
      ],
      more: 3,
    }
    expect(heartbeatText(said)).toBe(LINE)
    expect(readHeartbeat(LINE)).toEqual({
      ...said,
      at: Date.parse('2026-11-29T06:30:00Z'),
      exceptions: [
        {router: '0a1b2c3d', state: 'fallback'},
        {router: '4e5f6a7b', state: 'probing'},
      ],
    })
  })

  it('fits, is read as it was written, and counts what it does not name', () => {
    fc.assert(
      fc.property(heartbeat, said => {
        const text = heartbeatText(said)
        expect(text.length).toBeLessThanOrEqual(255)
        const read = readHeartbeat(text)
        const named = read?.exceptions.length ?? 0
        expect(read).toEqual({
          ...said,
          exceptions: said.exceptions.slice(0, named),
          more: said.more + said.exceptions.length - named,
        })
        if (said.exceptions.length < 9) expect(named).toBe(said.exceptions.length)
      }),
      {numRuns: 1000},
    )
  })

  it('of nonsense is not written', () => {
    const said: Heartbeat = {at: 0, sharing: 'per-node', local: 1, exceptions: [], more: 0}
    expect(() => heartbeatText({...said, local: -1})).toThrow(
      'this is no heartbeat: os-ssh-lsnat/1 1970-01-01T00:00:00Z per-node local=-1 other=0',
    )
    expect(() => heartbeatText({...said, at: Number.NaN})).toThrow('Invalid time value')
  })
})

describe('what is no heartbeat', () => {
  it.each([
    undefined,
    null,
    5,
    '',
    'rack 5',
    ` ${LINE}`,
    `${LINE}\n`,
    `${LINE} `,
    LINE.replace('/1', '/2'),
    LINE.replace('11-29', '02-30'),
    LINE.replace('T06', 'T24'),
    LINE.replace('Z', ''),
    LINE.replace('per-router', 'per-cloud'),
    LINE.replace('local=12', 'local=012'),
    LINE.replace('local=12', 'local=-1'),
    LINE.replace('other=5', 'other=4'),
    LINE.replace('fallback', 'asleep'),
    LINE.replace('0a1b2c3d', '0A1B2C3D'),
    LINE.replace('+3', '+0'),
    `${LINE.replace('other=5', 'other=25')}${' 0a1b2c3d:fallback'.repeat(20)}`,
  ])('%j', text => expect(readHeartbeat(text)).toBeUndefined())

  it('is never an error, whatever it is', () => {
    const near = fc
      .tuple(fc.nat(LINE.length), fc.nat(10), fc.string({unit: 'binary', maxLength: 10}))
      .map(([from, length, put]) => LINE.slice(0, from) + put + LINE.slice(from + length))
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.string({unit: 'binary'}), near), text => {
        const read = readHeartbeat(text)
        if (read) expect(heartbeatText(read)).toBe(text)
      }),
      {numRuns: 3000},
    )
  })
})
