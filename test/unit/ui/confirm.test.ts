import {expect, it, jest} from '@jest/globals'

import type {Questions} from '../../../src/conversation.ts'
import {confirmed, onInterrupt, passphraseOf} from '../../../src/ui/confirm.ts'

/* What is done only when somebody means it. */

const asked: unknown[] = []
const answering = (answer: boolean): Questions => ({
  confirm: async question => {
    asked.push(question)
    return answer
  },
})

it('who is asked decides, and who is sure is not asked', async () => {
  expect(await confirmed(answering(true), 'Delete?', false)).toBe(true)
  expect(await confirmed(answering(false), 'Delete?', false)).toBe(false)
  expect(asked).toEqual(['Delete?', 'Delete?'])
  expect(await confirmed(answering(false), 'Delete?', true)).toBe(true)
  expect(await confirmed({}, 'Delete?', true)).toBe(true)
  expect(asked).toHaveLength(2)
})

it('where nobody can be asked nothing is done', async () => {
  await expect(confirmed({}, 'Delete?', false)).rejects.toMatchObject({
    ...{code: 'USAGE', exit: 64, message: 'nobody can be asked here whether this is meant'},
    suggestions: ['if it is: the same with --yes'],
  })
})

it('a passphrase is the variable’s, else its user’s, and nothing otherwise', async () => {
  const passphrase = async (first: boolean, of?: string) => `${first} ${of}`
  expect(await passphraseOf({passphrase}, {OS_SSH_PASSPHRASE: 'said'})(true)).toBe('said')
  expect(await passphraseOf({passphrase}, {})(true)).toBe('true the file')
  // An empty one would seal it for everybody.
  expect(await passphraseOf({passphrase}, {OS_SSH_PASSPHRASE: ''})(false)).toBe('false the file')
  await expect(passphraseOf({}, {OS_SSH_PASSPHRASE: ''})(true)).rejects.toMatchObject({
    ...{code: 'USAGE', message: 'nobody can be asked here for the passphrase of the file'},
    suggestions: ['set OS_SSH_PASSPHRASE'],
  })
})

it('Ctrl-C ends with 130 and says what goes on, as long as that is so', () => {
  const exit = jest.spyOn(process, 'exit').mockImplementation(() => undefined as never)
  const written: unknown[] = []
  const write = jest.spyOn(process.stderr, 'write').mockImplementation(text => written.push(text) > 0)
  try {
    const others = process.listenerCount('SIGINT')
    onInterrupt('the service goes on')()
    expect(process.listenerCount('SIGINT')).toBe(others)
    onInterrupt('the service goes on')
    process.emit('SIGINT')
    expect(process.listenerCount('SIGINT')).toBe(others)
    expect(exit.mock.calls).toEqual([[130]])
    expect(written).toEqual(['\nos-ssh: the service goes on\n'])
  } finally {
    exit.mockRestore()
    write.mockRestore()
  }
})
