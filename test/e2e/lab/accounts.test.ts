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
  // All within a second, in which vipw takes what has changed twice for unchanged.
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
  const half = renderAccounts(logins(5)).split('\nedit passwd')[0]
  const said = onOwnEtc(`sh -s <<'SCRIPT'\n${half}\nSCRIPT
    ${count} /etc/passwd\n${make(5)}\n${count} /etc/passwd; ${count} /etc/shadow | cut -d' ' -f1,2`)
  expect(said).toBe('0 0 0\n5 5 5\n5 5\n')
})

it('ten thousand are one write, the gaps are taken when the top is, and what does not fit is refused', () => {
  const said = onOwnEtc(`useradd -u 59999 last; ${make(10_000)}\n${count} /etc/passwd
    getent passwd osp0000 osp0001 | cut -d: -f1,3
    sed -i 's/^UID_MAX.*/UID_MAX 11010/' /etc/login.defs
    sh -s <<'SCRIPT' 2>&1; echo $?\n${renderAccounts([...logins(10_000), ...['a', 'b'].map(n => n.repeat(8))])}SCRIPT
    sed -i 's/^UID_MAX.*/UID_MAX 11000/' /etc/login.defs
    sh -s <<'SCRIPT' 2>&1; echo $?\n${renderAccounts(['cccccccc'])}SCRIPT
    ${count} /etc/passwd`)
  expect(said).toMatch(
    /^10000 10000 10000\nosp0000:60000\nosp0001:1\d{3}\n0\nno user id is left for cccccccc\n.*\n1\n10000 10000 10000\n$/,
  )
})

it('do no harm to a file whose last line has no end, and wait for nobody when all are there', () => {
  const said = onOwnEtc(`printf 'admin:x:1500:1500::/home/admin:/bin/bash' >>/etc/passwd
    ${make(2)}getent passwd admin osp0000 | cut -d: -f1
    : >/etc/.pwd.lock; echo $$ >/etc/passwd.lock; ln /etc/passwd.lock /etc/passwd.$$
    ${make(2)}echo 'not locked'; ${make(3).replace('exit 1', 'echo locked')}`)
  expect(said).toBe('admin\nosp0000\nnot locked\nlocked\n')
})
