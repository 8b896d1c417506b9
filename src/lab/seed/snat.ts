import type {Seed} from '../state.ts'

/** Routers of every SNAT mode, on paper: loaded by `labUp({snat: true})`. */
export const seed: Seed = () => undefined
