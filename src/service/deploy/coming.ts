import {OsSshError} from '../../errors.ts'

/** A path waits for a gate that is on its way, or is being healed: it has its place as soon as there is one, or is told why not. */
export class GateIsComing extends OsSshError {
  /** Whether another one than before is on its way. */
  readonly isAnother: boolean

  constructor(message: string, isAnother: boolean) {
    super('BUSY', message, {retryAfter: 5})
    this.isAnother = isAnother
  }
}

/** @param since, now epoch ms */
export const booting = (since: number, now: number) =>
  `a gate is being booted, ${Math.max(0, Math.round((now - since) / 1000))} s`

/** The zone that a gate for this is made in; null: Nova's choice. */
export function zoneOf(zone: string | null, zones: readonly string[] | undefined): string | null {
  if (zones === undefined) return zone
  return zone !== null && zones.includes(zone) ? zone : (zones[0] ?? null)
}
