import type {Limits} from './planner/plan.ts'

/** What one user or project may take of the gates. Zero: no limit. */
export interface Fairness {
  /** Live paths of one user to one VM. */
  readonly perVm: number
  /** Paths of one user, those whose account still rests included. */
  readonly perUser: number
  /** Part of a gate's accounts that one project may hold while others wait, 0 to 1. */
  readonly share: number
  /** Projects that were lately told that a gate is full, and until when that counts, epoch ms. */
  readonly waiting: Map<string, number>
}

/** What a grant may be. */
export interface GrantLimits extends Limits {
  /** Longest life of a path, s. */
  readonly maxLife: number
  /** Life when none is asked for, s. */
  readonly defaultLife: number
  /** Life of a certificate, s: for so long a right that was withdrawn may still log in. */
  readonly certLife: number
  /** What one user or project may take of the gates; undefined in embedded use: all. */
  readonly fairness?: Fairness | undefined
}
