import {spawn} from 'node:child_process'
import {watch} from 'node:fs'

/** Events come in crowds, ms. */
const QUIET = 200
/** Until a watcher that has ended is started again, ms. */
const AGAIN = 5000

/**
 * Tells that something may have changed on this node: a namespace, or a port that Nova or an agent has plugged. Only a hint, for the
 * rounds come anyway: where nothing can be watched it is quiet.
 *
 * @returns ends it
 */
export function watchNode(tell: () => void): () => void {
  let timer: NodeJS.Timeout | undefined
  const soon = () => {
    timer ??= setTimeout(() => {
      timer = undefined
      tell()
    }, QUIET)
  }
  const ends = [watchNamespaces(soon), watchPorts(soon)]
  return () => {
    clearTimeout(timer)
    for (const end of ends) end()
  }
}

function watchNamespaces(tell: () => void): () => void {
  try {
    const watcher = watch('/run/netns', {persistent: false}, tell)
    watcher.on('error', () => undefined)
    return () => watcher.close()
  } catch {
    // There is no namespace yet.
    return () => undefined
  }
}

/** A port's UUID is in external_ids from the moment that it is plugged. */
function watchPorts(tell: () => void): () => void {
  let isOver = false
  let stop = () => {}
  const start = () => {
    if (isOver) return
    const child = spawn(
      'ovsdb-client',
      ['monitor', '--format=json', 'Open_vSwitch', 'Interface', 'external_ids'],
      {
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    )
    child.stdout.on('data', tell)
    const timer = () => void setTimeout(start, AGAIN).unref()
    child.on('error', timer)
    child.on('exit', timer)
    stop = () => child.kill()
  }
  start()
  return () => {
    isOver = true
    stop()
  }
}
