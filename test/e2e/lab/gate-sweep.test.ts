import {afterAll, beforeAll, describe, expect, it, jest} from '@jest/globals'

import {BareGate} from '../../support/bare-gate.ts'
import {MINE} from '../../support/bare-gate-plan.ts'

/* What goes from a gate with paths and networks that are over: each line of the script that takes something away, and the gate without it. */

jest.setTimeout(30_000)

let gate: BareGate
beforeAll(async () => {
  gate = await BareGate.open()
})
afterAll(() => gate?.close())

const listed = async (command: string) => (await gate.sh(command)).trim().split(/\s+/).join(' ')
const ended = () =>
  gate.paths.map((one, n) => (n === 1 ? {...one, state: 'ended' as const, ended_at: 1} : one))
const others = () => gate.paths.filter((_, n) => n !== 1)

describe('of a path', () => {
  /** Processes of an account, as sshd's of a connection are, and what is left of them, and of the right to log in. */
  const left = (change: () => object) => async (gone: readonly string[]) => {
    const {login} = gate.paths[1]
    const held = await gate.hold(login, gate.paths[1].alias)
    expect(held.first).toBe('vm 10.0.0.2')
    await gate.push({without: gone, ...change()})
    const running = (await held.say('heard')) !== 'undefined'
    const admitted = await listed(`ls /etc/os-ssh/principals | grep ${login} || true`)
    held.end()
    return `${running ? 'runs' : 'over'}, ${admitted ? 'admitted' : 'locked out'}`
  }
  const [killed, swept, unlisted] = [
    'script: pkill -KILL -u osp0001',
    'script: ps -o user:32= -G os-ssh | sort -u | unwanted | while read -r user; do pkill -KILL -u "$user"; done',
    'script: ls "$dir/principals" | unwanted | (cd "$dir/principals" && xargs -r rm -f) || exit 1',
  ] as const
  const over = 'over, locked out'
  it('that has ended, when the whole state is told: killed by name, and swept', async () => {
    for (const [gone, end] of [
      [[], over],
      [[killed], over],
      [[swept], over],
      [[killed, swept], 'runs, locked out'],
    ] as const) {
      await gate.push()
      expect(await left(() => ({paths: ended()}))(gone)).toBe(end)
    }
  })
  it('that has ended, when what has changed is told', async () => {
    const unlocked = 'script: (cd "$dir/principals" && rm -f osp0001) || exit 1'
    const change = () => ({paths: ended().filter((_, n) => n === 1), whole: false})
    for (const [gone, end] of [
      [[], over],
      [[killed], 'runs, locked out'],
      [[unlocked], 'over, admitted'],
    ] as const) {
      await gate.push()
      expect(await left(change)(gone)).toBe(end)
    }
  })
  it('that has been over for long, before its account is anybody’s', async () => {
    for (const [gone, end] of [
      [[], over],
      [[killed, swept], 'runs, locked out'],
    ] as const) {
      await gate.push()
      expect(await left(() => ({paths: others(), rested: [ended()[1]]}))(gone)).toBe(end)
    }
  })
  it('that no row knows', async () => {
    for (const [gone, end] of [
      [[], over],
      [[swept], 'runs, locked out'],
      [[unlisted], 'over, admitted'],
    ] as const) {
      await gate.push()
      expect(await left(() => ({paths: others()}))(gone)).toBe(end)
    }
  })
})

const listedAfter = async (gone: readonly string[]) => {
  await gate.push()
  expect(await gate.knock('gate', MINE)).toBe('vm 10.0.0.2')
  await gate.push({without: gone, slots: []})
  return listed(
    'cd /run/netns; ls -d os-ssh-* 2>/dev/null; cd /sys/class/net; ls -d os* ens5 2>/dev/null || true',
  )
}

it.each([
  [[], 'ost0'],
  [['script: ip netns delete "$ns"'], 'os-ssh-0 ost0'],
  [['script: ip -n "$ns" link set dev nic netns 1 name "ost$slot" 2>/dev/null'], ''],
] as const)('of a network: without %j', async (gone, end) => {
  expect(await listedAfter(gone)).toBe(end)
})
