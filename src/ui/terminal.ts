import type {Writable} from 'node:stream'

/** Something to print to: a stream that may be a terminal. */
export type Screen = Writable & {isTTY?: boolean; columns?: number}

export type Colour = 'green' | 'yellow' | 'red' | 'gray'

/** Whether to colour: on a terminal only, and never against NO_COLOR (no-color.org) or a dumb terminal. */
export function wantsColour(screen: Screen, env: NodeJS.ProcessEnv = process.env): boolean {
  return screen.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb'
}
