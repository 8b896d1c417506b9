import {spawnSync} from 'node:child_process'

import {expect, it} from '@jest/globals'

import {login} from '../../../src/service/gates/addresses.ts'
import {renderAccounts} from '../../../src/service/gates/render.ts'

/* The accounts of paths, made on a real /etc of this machine's, of which the test sees a copy of its own. */

const logins = (n: number) => Array.from({length: n}, (_, i) => login(i))

/** Runs a shell script whose /etc is a layer over the machine's; what it prints. */
function onOwnEtc(script: string): string {
  const layer =
    'mount -t tmpfs t /mnt && mkdir /mnt/up /mnt/work && mount -t overlay o -o lowerdir=/etc,upperdir=/mnt/up,workdir=/mnt/work /etc'
  const {status, stdout, stderr} = spawnSync('unshare', ['-m', '--propagation', 'private', 'sh', '-s'], {
    input: `${layer} || exit 9\n${script}`,
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`${status}: ${stderr}`)
  return stdout
}
/** As the service does: a shell that reads the script. */
const make = (n: number) => `sh -s <<'SCRIPT' || exit 1\n${renderAccounts(logins(n))}SCRIPT\n`
const count = `awk -F: '/^osp/ {n++; seen[$1]++; id[$3]++} END {for (u in seen) users++; for (i in id) ids++; print n + 0, users + 0, ids + 0}'`

it('are there once each, locked, without a home, in our group, above the people’s', () => {
  const said = onOwnEtc(`useradd -u 4711 somebody
    ${make(2)}${make(40)}${make(40)}
    ${count} /etc/passwd; ${count} /etc/shadow
    getent passwd osp0000 osp0039; getent shadow osp0039; id -gn osp0039; passwd -S osp0039 | cut -d' ' -f2
    pwck -r -q | grep -v home; grpck -r; stat -c %a /etc/passwd /etc/shadow`)
  const [passwd, shadow, first = '', last = '', locked, ...rest] = said.trim().split('\n')
  expect(passwd).toBe('40 40 40')
  expect(shadow?.startsWith('40 40')).toBe(true)
  expect(first).toMatch(/^osp0000:x:4712:\d+::\/nonexistent:\/usr\/sbin\/nologin$/)
  expect(last).toMatch(/^osp0039:x:4751:/)
  expect(locked).toBe('osp0039:*:20000:0:99999:7:::')
  expect(rest).toEqual(['os-ssh', 'L', '644', '640'])
})

it('are finished by the next run where one was killed between the two files', () => {
  const half = renderAccounts(logins(5)).split('\nfirst=')[0]
  const said = onOwnEtc(`sh -s <<'SCRIPT'\n${half}\nSCRIPT
    ${count} /etc/passwd\n${make(5)}\n${count} /etc/passwd; ${count} /etc/shadow | cut -d' ' -f1,2`)
  expect(said).toBe('0 0 0\n5 5 5\n5 5\n')
})

it('ten thousand are one write, and what does not fit is refused', () => {
  const said = onOwnEtc(`${make(10_000)}\n${count} /etc/passwd
    useradd -u 59999 last; sh -s <<'SCRIPT' 2>&1; echo $?\n${renderAccounts([...logins(10_000), 'ospmore'])}SCRIPT
    ${count} /etc/passwd`)
  expect(said).toBe('10000 10000 10000\nno 1 user ids are left above 60000\n1\n10000 10000 10000\n')
})
