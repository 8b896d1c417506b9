import {expect, test} from '@jest/globals'

import {hostKeysFromConsole} from '../../../src/ssh/console.ts'
import {generateKeyPair} from '../../../src/ssh/keys.ts'

const BEGIN = '-----BEGIN SSH HOST KEY KEYS-----'
const END = '-----END SSH HOST KEY KEYS-----'
const key = () => generateKeyPair('').publicKey
const block = (...keys: string[]) => [BEGIN, ...keys, END].join('\r\n')

test('takes keys without comments, whatever the line ends are', () => {
  const [a, b] = [key(), key()]
  expect(hostKeysFromConsole(`boot\r\n${block(`${a} root@vm`, `${b} root@vm`)}\r\nlogin: `)).toEqual([a, b])
})

test('the last complete block wins; an unfinished one does not count', () => {
  const [old, now, half] = [key(), key(), key()]
  expect(hostKeysFromConsole(`${block(old)}\n${block(now)}\n${BEGIN}\n${half}\n`)).toEqual([now])
  expect(hostKeysFromConsole(`${BEGIN}\n${half}\n${block(now)}`)).toEqual([now])
})

test('kernel messages between keys are skipped', () => {
  const a = key()
  expect(hostKeysFromConsole(block('[   12.345] random: crng init done', a))).toEqual([a])
})

test('hostile lines yield nothing', () => {
  const a = key()
  expect(hostKeysFromConsole('')).toEqual([])
  expect(hostKeysFromConsole(`${BEGIN}\n${a}`)).toEqual([])
  expect(
    hostKeysFromConsole(
      block(
        `@cert-authority * ${a}`,
        `*,evil ${a}`,
        `# ${a}`,
        `ssh-dss ${a.split(' ')[1]}`,
        `${a.slice(0, -8)}`,
      ),
    ),
  ).toEqual([])
  expect(hostKeysFromConsole([BEGIN, ...Array.from({length: 200}, () => a), END].join('\n'))).toEqual([])
})
