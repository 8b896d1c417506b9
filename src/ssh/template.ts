import {existsSync, readFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {fileURLToPath} from 'node:url'

import {Eta} from 'eta'

/** Root of the installed package: two directories up from the sources, three from what is built. */
export function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(directory, 'package.json'))) directory = dirname(directory)
  return directory
}

/** A template of templates/ssh_config, compiled once. What is put in must be fit for ssh_config already. */
export function template(name: 'gate' | 'vm'): (values: object) => string {
  const eta = new Eta({autoEscape: false, autoTrim: false})
  const compiled = eta.compile(
    readFileSync(join(packageRoot(), 'templates', 'ssh_config', `${name}.eta`), 'utf8'),
  )
  return values => compiled.call(eta, values)
}
