import {parsePublicKey} from './keys.ts'

const BEGIN = '-----BEGIN SSH HOST KEY KEYS-----'
const END = '-----END SSH HOST KEY KEYS-----'
/** A block longer than this is not cloud-init's. */
const MAX_LINES = 100
const MAX_KEYS = 16

/**
 * SSH host keys that cloud-init printed on a VM's console, as `type base64`; empty when there are none.
 *
 * The text is written by the guest, so nothing of it is believed but complete blocks, and of these only lines that
 * are keys to their last byte; comments are dropped. A rebuilt VM prints again: the last block with a key wins.
 */
export function hostKeysFromConsole(log: string): string[] {
  let found: string[] = []
  let block: string[] | undefined
  for (const raw of log.split('\n')) {
    const line = raw.trim()
    if (line === BEGIN) block = []
    else if (line === END) {
      if (block?.length) found = keysOf(block, found)
      block = undefined
    } else if (block && block.push(line) > MAX_LINES) block = undefined
  }
  return found
}

function keysOf(block: readonly string[], otherwise: string[]): string[] {
  const keys = new Set<string>()
  for (const line of block) {
    try {
      const {type, blob} = parsePublicKey(line)
      if (keys.size < MAX_KEYS) keys.add(`${type} ${blob.toString('base64')}`)
    } catch {
      // A kernel message between the keys, or a lie.
    }
  }
  return keys.size > 0 ? [...keys] : otherwise
}
