import {createServer} from 'node:net'

import {afterEach, describe, expect, it, jest} from '@jest/globals'

import {cleanNode, dryRun, runAgent} from '../../../src/localgw/agent/open.ts'

const options = {host: 'compute1', sharing: 'per-router', every: 10, grace: 0} as const
const commands = {
  agent: () => runAgent({}, options, AbortSignal.abort()),
  clean: () => cleanNode({}, 'compute1', 0, () => undefined),
  'dry run': () => dryRun({}, options),
}

afterEach(() => {
  jest.restoreAllMocks()
})

describe.each(Object.entries(commands))('%s', (name, command) => {
  it('is for root', async () => {
    jest.spyOn(process as Required<typeof process>, 'geteuid').mockReturnValue(1000)
    await expect(command()).rejects.toMatchObject({
      code: 'DENIED',
      message: 'local gateways are made by root',
    })
  })

  if (name === 'dry run') return
  it('is alone on its node', async () => {
    jest.spyOn(process as Required<typeof process>, 'geteuid').mockReturnValue(0)
    const other = createServer()
    await new Promise<void>(resolve => other.listen('\0os-ssh-lsnat', resolve))
    try {
      await expect(command()).rejects.toMatchObject({
        code: 'BUSY',
        message: 'an agent of local gateways works on this node',
      })
    } finally {
      await new Promise(resolve => other.close(resolve))
    }
  })
})
