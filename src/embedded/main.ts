/** The process that src/embedded/start.ts starts: `main STATE RUN CACHE`, what it shall work with as JSON on standard input. */
import {writeFileSync} from 'node:fs'
import {enableCompileCache} from 'node:module'
import {text} from 'node:stream/consumers'

import {OsSshError} from '../errors.ts'
import {diskFault} from '../service/store/disk.ts'
import {parseHandover} from './handover.ts'
import {faultOf} from './place.ts'

const [state = '', run = '', cache] = process.argv.slice(2)
// What comes by `import` from here on is compiled once for all starts.
if (cache) enableCompileCache(cache)
process.title = 'os-ssh service'
// The terminal of the client that has started it may go.
process.on('SIGHUP', () => undefined)
try {
  // It compiles while the client still writes.
  const [{serve}, handover] = await Promise.all([import('./daemon.ts'), text(process.stdin)])
  await serve({state, run}, parseHandover(handover))
  process.exit(0)
} catch (error) {
  const {code, message, suggestions} = faultFor(error)
  writeFileSync(faultOf({state, run}), JSON.stringify({code, message, hint: suggestions[0]}), {mode: 0o600})
  process.stderr.write(`${(error as Error).stack}\n`)
  process.exit(1)
}

function faultFor(error: unknown): OsSshError {
  if (error instanceof OsSshError) return error
  const fault = diskFault(error, `the service cannot keep its state in ${state}`)
  if (fault !== undefined) return fault
  return new OsSshError('BUG', `the service could not start: ${(error as Error).message}`)
}
