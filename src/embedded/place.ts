import {join} from 'node:path'

import {fileName, socketPath, stateDirectory} from '../system/directories.ts'

/** Where the service of one cloud of one user lives. No secret is in any of these files. */
export interface Place {
  /** What survives a reboot: the database, the log, what `init` has said. */
  readonly state: string
  /** What does not: the socket, and why it could not be started. */
  readonly run: string
}

/** @param run the cloud's runtime directory, which is its user's alone @throws OsSshError CONFIG for one whose path is too long */
export function placeOf(cloud: string, run: string, env?: NodeJS.ProcessEnv): Place {
  const place = {state: join(stateDirectory(env), 'embedded', fileName(cloud)), run}
  socketPath(socketOf(place), 'service')
  return place
}

export const socketOf = ({run}: Place) => join(run, 'service.sock')
/** Held by the client that starts it, so that many at once start one. */
export const startingOf = ({run}: Place) => join(run, 'service.starting')
/** Why the last one could not be started, for its client. */
export const faultOf = ({run}: Place) => join(run, 'service.fault')
/** What it prints that is no line of its log: Node's own last words. */
export const lastWordsOf = ({run}: Place) => join(run, 'service.err')

/** Held by the process that runs: the kernel takes it away with the process. */
export const lockOf = ({state}: Place) => join(state, 'service.lock')
export const databaseOf = ({state}: Place) => join(state, 'service.db')
export const logOf = ({state}: Place) => join(state, 'service.log')
/** Settings, as for `service start --config`; may be missing. */
export const settingsOf = ({state}: Place) => join(state, 'service.yaml')
/** Says that `init` was done, and for which project. */
export const markOf = ({state}: Place) => join(state, 'init.json')
