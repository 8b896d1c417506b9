import {readFileSync} from 'node:fs'
import {join} from 'node:path'

import {Eta} from 'eta'

import {packageRoot} from './directories.ts'

/**
 * A template of templates/, compiled when it is first used. Nothing is escaped: what is put in must be fit for what it becomes.
 *
 * @param name path below templates/
 */
export function template(name: string): (values: object) => string {
  const eta = new Eta({autoEscape: false, autoTrim: false})
  let compiled: ReturnType<Eta['compile']> | undefined
  return values => {
    compiled ??= eta.compile(readFileSync(join(packageRoot(), 'templates', name), 'utf8'))
    return compiled.call(eta, values)
  }
}
