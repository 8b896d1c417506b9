/** The SSH wire encoding (RFC 4251 section 5), as far as keys and certificates need it. */

/** uint32. */
export function u32(value: number): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeUInt32BE(value)
  return buffer
}

/** uint64. */
export function u64(value: bigint): Buffer {
  const buffer = Buffer.alloc(8)
  buffer.writeBigUInt64BE(value)
  return buffer
}

/** string: a length, then the bytes; text is UTF-8. */
export function string(value: string | Buffer): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value
  return Buffer.concat([u32(bytes.length), bytes])
}

/** Reads a buffer field by field; throws RangeError past its end, so hostile lengths end the parse. */
export class Reader {
  #at = 0
  readonly #bytes: Buffer

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  u32(): number {
    return this.take(4).readUInt32BE()
  }

  take(length: number): Buffer {
    if (length > this.left) throw new RangeError(`${length} bytes wanted, ${this.left} left`)
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  string(): Buffer {
    return this.take(this.u32())
  }

  text(): string {
    return this.string().toString('latin1')
  }
}
