import type {ServiceContext} from '../context.ts'

/** Rings once, at the earliest of the times that are asked for: who asks again and again hears it once. */
export class Alarm {
  readonly #context: Pick<ServiceContext, 'jobs' | 'clock'>
  readonly #ring: () => unknown
  /** Epoch ms. */
  #due: number | undefined

  constructor(context: Pick<ServiceContext, 'jobs' | 'clock'>, ring: () => unknown) {
    this.#context = context
    this.#ring = ring
  }

  /** @param ms from now */
  in(ms: number): void {
    const {clock, jobs} = this.#context
    const now = clock()
    const at = now + ms
    if (this.#due !== undefined && this.#due > now && this.#due <= at) return
    this.#due = at
    jobs.later(ms, () => {
      if (this.#due !== at) return
      this.#due = undefined
      this.#ring()
    })
  }
}
