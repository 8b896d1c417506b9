import {rm} from 'node:fs/promises'

import {OsSshError} from '../errors.ts'
import {makeDirectory, readIfThere, writeAtomic} from '../system/files.ts'
import {markOf, type Place} from './place.ts'

/** That `init` was done here. */
export interface Mark {
  /** The service: by its id everything that it has made in the cloud is known. */
  readonly service: string
  readonly project: {readonly id: string; readonly name: string}
  /** `destroy` has begun: nothing is made or used any more. */
  readonly ending?: boolean
}

/** @returns undefined where `init` was not done @throws OsSshError CONFIG for a file that is none of ours */
export async function readMark(place: Place): Promise<Mark | undefined> {
  const text = await readIfThere(markOf(place))
  if (text === undefined) return undefined
  try {
    const mark = JSON.parse(text)
    if (/^[0-9a-f-]{36}$/.test(mark.service) && typeof mark.project.id === 'string') return mark
  } catch {
    // said below
  }
  throw new OsSshError('CONFIG', `${markOf(place)} is damaged`, {
    hint: 'remove it, and os-ssh init goes on from what there is',
  })
}

/** @throws Error of the file system */
export async function writeMark(place: Place, mark: Mark): Promise<void> {
  await makeDirectory(place.state)
  await writeAtomic(markOf(place), `${JSON.stringify(mark)}\n`, 0o600)
}

/** Forgets the service that was here, with its settings and its log. @throws Error of the file system */
export async function forget(place: Place): Promise<void> {
  // The mark first: what is left of the rest harms nobody.
  await rm(markOf(place), {force: true})
  await rm(place.state, {recursive: true, force: true})
}
