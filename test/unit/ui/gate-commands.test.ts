import {expect, it} from '@jest/globals'

import GateAllow from '../../../commands/gate/allow.ts'
import GateDelete from '../../../commands/gate/delete.ts'
import GateDrain from '../../../commands/gate/drain.ts'
import GateRemove from '../../../commands/gate/remove.ts'
import type {Session} from '../../../src/access/session.ts'

/* What the commands of operators say of a service that is not to be believed. */

const EVIL = 'gate\u001b[2J'
const SEEN = 'gate\\u001b[2J'

/** @returns what the command has said */
async function said(
  Command: new (words: string[], config: never) => {run(): Promise<void>},
  words: string[],
  deployed: boolean,
): Promise<string> {
  const asked: string[] = []
  const gate = {id: 'g', name: EVIL, deployed, paths: 0, attachments: 0}
  const session = {
    progress: () => undefined,
    service: async () => ({
      async request(method: string, path: string) {
        asked.push(method)
        if (path.endsWith('/access')) return {allow: [EVIL]}
        if (path.endsWith('/drain')) return gate
        return {gates: asked.includes('DELETE') ? [] : [gate]}
      },
    }),
  } as unknown as Session
  const lines: string[] = []
  const say = (line: string) => lines.push(line)
  const command = new Command(words, {runHook: async () => ({successes: [], failures: []})} as never)
  Object.assign(command, {
    inSession: (_: object, work: (session: Session) => unknown) => work(session),
    ...{log: say, logToStderr: say},
  })
  await command.run()
  return lines.join('')
}

it.each([
  ['allow', GateAllow, [], true],
  ['allow --usual', GateAllow, ['--usual'], true],
  ['allow, which says it again', GateAllow, ['192.0.2.0/24'], true],
  ['drain', GateDrain, ['g'], true],
  ['drain --undo', GateDrain, ['g', '--undo'], true],
  ['delete', GateDelete, ['g', '--yes'], true],
  ['remove', GateRemove, ['g', '--yes'], false],
] as const)('gate %s', async (_, command, words, deployed) => {
  const text = await said(command, [...words], deployed)
  expect(text).toContain(SEEN)
  expect(text).not.toContain('\u001b')
})

it('gate allow takes ranges or --usual, not both', async () => {
  await expect(said(GateAllow, ['192.0.2.0/24', '--usual'], true)).rejects.toMatchObject({code: 'USAGE'})
})
