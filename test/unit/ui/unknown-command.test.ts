import {expect, test} from '@jest/globals'

import {closest} from '../../../src/names/closest.ts'
import {unknownCommand} from '../../../src/ui/unknown-command.ts'

const known = ['config', 'connect', 'list', 'paths:list', 'paths:revoke', 'snat:status']

test.each([
  ['conect', 'there is no command "conect"', 'did you mean: os-ssh connect'],
  ['lsit', 'there is no command "lsit"', 'did you mean: os-ssh list'],
  ['paths:lst', 'there is no command "paths lst"', 'did you mean: os-ssh paths list'],
  ['list:extra:words', 'list takes no argument "extra words"', 'see os-ssh list --help'],
  ['paths:list:web1', 'paths list takes no argument "web1"', 'see os-ssh paths list --help'],
  ['frobnicate', 'there is no command "frobnicate"', 'see os-ssh help'],
  ['x\u001b[2J', 'there is no command "x\\u001b[2J"', 'see os-ssh help'],
])('%s', (id, message, hint) => {
  expect(unknownCommand(id, known)).toMatchObject({code: 'USAGE', message, suggestions: [hint], exit: 64})
})

test('what is near is near whatever its case, and nothing else is', () => {
  expect(closest('WEB-01', ['web-1', 'db'])).toBe('web-1')
  expect(closest('x', ['web', 'db'])).toBeUndefined()
  expect(closest('production', ['bastion'])).toBeUndefined()
})
