import {execFileSync} from 'node:child_process'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, expect, test} from '@jest/globals'
import {md5Fingerprint, newSshKey, sha256Fingerprint} from '../../../src/lab/keys.ts'

const dir = mkdtempSync(join(tmpdir(), 'lab-keys-'))
afterAll(() => rmSync(dir, {recursive: true}))

test('OpenSSH reads the keys and agrees on their public half and fingerprints', () => {
  // several, because the padding depends on the comment's length
  for (const comment of ['', 'a', 'management', 'root@some-host-name']) {
    const key = newSshKey(comment)
    const file = join(dir, `key${comment.length}`)
    writeFileSync(file, key.private_key, {mode: 0o600})
    writeFileSync(`${file}.pub`, `${key.public_key}\n`)
    const keygen = (...words: string[]) => execFileSync('ssh-keygen', words, {encoding: 'utf8'}).trim()
    expect(keygen('-y', '-f', file)).toBe(key.public_key.trim())
    expect(keygen('-l', '-E', 'md5', '-f', `${file}.pub`)).toContain(
      ` MD5:${md5Fingerprint(key.public_key)} `,
    )
    expect(keygen('-l', '-f', `${file}.pub`)).toContain(` ${sha256Fingerprint(key.public_key)} `)
  }
})
