import {readFileSync} from 'node:fs'
import {Writable} from 'node:stream'

import {type Facts, NO_FACTS} from '../../src/snat/facts.ts'

/** Answers recorded from a real Neutron (test/fixtures/snat), as facts. */
export function factsOf(name: 'zed-ovs' | 'zed-ovs-member' | 'zed-ovs-member-dvr' | 'zed-ovn'): Facts {
  const file = new URL(`../fixtures/snat/${name}.json`, import.meta.url)
  return {...NO_FACTS, ...(JSON.parse(readFileSync(file, 'utf8')) as Partial<Facts>)}
}

/** What `print` writes to a screen that is no terminal. */
export async function printed(print: (screen: Writable) => Promise<void>): Promise<string> {
  let text = ''
  const screen = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk)
      done()
    },
  })
  await print(screen)
  return text
}

export const LEGACY = '5a6ad93d-831c-4f8f-a510-4249ad88d307'
export const DVR = '763aa638-b31f-4737-8370-8c326a2a08a9'
/** VMs behind the DVR router: without and with a floating IP; and one behind the legacy router. */
export const VM_CENTRAL = 'f7f6041e-0000-4000-8000-0000000000a1'
export const VM_FIP = 'f7f6041e-0000-4000-8000-0000000000a2'
export const VM_LEGACY = 'c8b90de7-6aad-4a2e-a357-f8d7c8b88ef6'
