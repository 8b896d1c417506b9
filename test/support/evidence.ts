/*
 * What takes minutes and is only more of the same is left to `npm run evidence`: `npm test` runs one of a kind.
 */
const everything = process.env['OS_SSH_TEST_EVIDENCE'] === '1'

/** All of these in the evidence, else those that stand first. */
export const some = <T>(all: readonly T[], otherwise = 1): readonly T[] =>
  everything ? all : all.slice(0, otherwise)

/** Tests that are for the evidence only. */
export function later(define: () => void): void {
  if (everything) define()
}
