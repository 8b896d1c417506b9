import {cpSync, existsSync, rmSync, symlinkSync} from 'node:fs'

import {bundle} from '../../scripts/bundle.ts'
import {root} from '../support/world.ts'

const INSTALLED = `/tmp/os-ssh-bench-installed-${process.pid}`

/**
 * What users run: the bundle of a package. It is neither as big nor as slow as what tsc makes.
 * @returns its folder, with bin/ and dist/; in client/ is what tsc makes, for modules that are in no file of their own in a bundle
 */
export async function installed(): Promise<string> {
  if (!existsSync(INSTALLED)) {
    process.once('exit', () => rmSync(INSTALLED, {recursive: true, force: true}))
    await bundle(INSTALLED)
    symlinkSync(`${root}node_modules`, `${INSTALLED}/node_modules`)
    cpSync(`${root}dist`, `${INSTALLED}/client`, {recursive: true})
  }
  return INSTALLED
}
