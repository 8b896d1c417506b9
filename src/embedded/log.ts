import {closeSync, fstatSync, openSync, renameSync, writeSync} from 'node:fs'

/** A log of this size, bytes, is put aside, and the one that was aside is forgotten. */
const FULL = 1024 * 1024

/** A log file that does not grow without end: `FILE`, and before it `FILE.1`. Its owner's alone (0600). */
export class LogFile {
  readonly #file: string
  #fd: number | undefined
  #size = 0
  /** The disk took a part of the last line: the next one begins anew. */
  #isTorn = false

  constructor(file: string) {
    this.#file = file
  }

  /** One line, for pino. What the disk does not take is lost: a service goes on without its log. */
  write(line: string): void {
    try {
      const fd = this.#fd ?? this.#open()
      const text = Buffer.from(this.#isTorn ? `\n${line}` : line)
      const taken = writeSync(fd, text)
      this.#size += taken
      if (taken > 0) this.#isTorn = taken < text.length
      if (this.#size >= FULL) this.#putAside(fd)
    } catch {
      // Said by whatever else the full disk stops.
    }
  }

  #open(): number {
    this.#fd = openSync(this.#file, 'a', 0o600)
    this.#size = fstatSync(this.#fd).size
    return this.#fd
  }

  #putAside(fd: number): void {
    closeSync(fd)
    this.#fd = undefined
    renameSync(this.#file, `${this.#file}.1`)
  }
}
