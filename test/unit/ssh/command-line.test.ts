import {expect, test} from '@jest/globals'

import {connectWords} from '../../../src/ssh/command-line.ts'

const own = ['os-cloud', 'keychain']
const parse = (...words: string[]) => connectWords(words, own)

test('options before and after the VM, and a command after --', () => {
  expect(parse('-v', 'web', '-l', 'root', '-i', 'k', '--', 'ls', '-l')).toEqual({
    vm: 'web',
    sshOptions: ['-v', '-l', 'root', '-i', 'k'],
    command: ['ls', '-l'],
    own: {},
  })
})

test('a command without --, as ssh has it; its options are its own', () => {
  expect(parse('web', 'ls', '-la', '--', 'x')).toMatchObject({
    vm: 'web',
    sshOptions: [],
    command: ['ls', '-la', '--', 'x'],
  })
})

test('a value is not taken for the VM, attached or not', () => {
  expect(parse('-L', '80:localhost:80', '-tt', '-p22', '-vL', 'x', 'web')).toMatchObject({
    vm: 'web',
    sshOptions: ['-L', '80:localhost:80', '-tt', '-p22', '-vL', 'x'],
  })
})

test('user@vm is a login, and -l wins over it', () => {
  expect(parse('alice@web', '-v', 'ls')).toMatchObject({
    vm: 'web',
    sshOptions: ['-v', '-l', 'alice'],
    command: ['ls'],
  })
  expect(parse('-l', 'root', 'a@b@web')).toMatchObject({vm: 'web', sshOptions: ['-l', 'root', '-l', 'a@b']})
})

test('our own options are not given to ssh', () => {
  expect(parse('--os-cloud', 'lab', 'web', '--keychain=file')).toEqual({
    vm: 'web',
    sshOptions: [],
    command: [],
    own: {'os-cloud': 'lab', keychain: 'file'},
  })
})

test('what comes first after -- is the VM when there was none', () => {
  expect(parse('--', 'web', '--', 'ls')).toMatchObject({vm: 'web', command: ['ls']})
})

test.each([
  [],
  ['-l'],
  ['-l', 'root'],
  ['web', '--nope'],
  ['-F', 'x', 'web'],
  ['-vJ', 'x', 'web'],
  ['--os-cloud'],
  ['@web'],
  ['alice@'],
])('%j is refused', (...words) => {
  expect(() => parse(...words)).toThrow(expect.objectContaining({code: 'USAGE'}))
})
