import {spawnSync} from 'node:child_process'

/** @throws when the test could touch the machine's own network: end-to-end tests run as root in a namespace of their own */
export function needOwnNetns(): void {
  const devices = spawnSync('ip', ['-br', 'link'], {encoding: 'utf8'}).stdout.trim().split('\n')
  if (process.getuid?.() !== 0 || devices.some(line => !/^(lo|oslab|oscloud)/.test(line)))
    throw new Error('end-to-end tests run as root in a network namespace of their own: npm run e2e')
}
