import {describe, expect, test} from '@jest/globals'
import fc from 'fast-check'

import {authMerge, deepMerge, isRecord, type Settings} from '../../../src/openstack/merge.ts'

const key = fc.oneof(
  fc.constantFrom('auth', 'clouds', 'a', '__proto__', 'constructor'),
  fc.string({maxLength: 3}),
)
const {tree} = fc.letrec<{tree: Settings; value: unknown}>(tie => ({
  tree: fc.dictionary(key, tie('value'), {maxKeys: 4}),
  value: fc.oneof(
    {depthSize: 'small'},
    fc.string(),
    fc.integer(),
    fc.array(fc.string(), {maxLength: 2}),
    tie('tree'),
  ),
}))

/** Every path to something that is no mapping. */
function leaves(settings: Settings, at: string[] = []): [string[], unknown][] {
  return Object.entries(settings).flatMap(([name, value]): [string[], unknown][] =>
    isRecord(value) && Object.keys(value).length > 0
      ? leaves(value, [...at, name])
      : [[[...at, name], value]],
  )
}

function at(settings: unknown, path: string[]): unknown {
  return path.reduce<unknown>(
    (inner, name) => (isRecord(inner) && Object.hasOwn(inner, name) ? inner[name] : undefined),
    settings,
  )
}

describe('deepMerge (secure.yaml over clouds.yaml)', () => {
  test('every leaf of the upper one is there', () => {
    fc.assert(
      fc.property(tree, tree, (base, over) => {
        const merged = deepMerge(base, over)
        for (const [path, value] of leaves(over))
          if (!isRecord(value)) expect(at(merged, path)).toEqual(value)
      }),
    )
  })

  test('a leaf of the lower one stays unless something stands on its path', () => {
    fc.assert(
      fc.property(tree, tree, (base, over) => {
        const merged = deepMerge(base, over)
        for (const [path, value] of leaves(base)) {
          const covered = path.some((_, n) => {
            const above = at(over, path.slice(0, n + 1))
            return above !== undefined && (!isRecord(above) || n === path.length - 1)
          })
          if (!covered) expect(at(merged, path)).toEqual(value)
        }
      }),
    )
  })

  test('nothing laid over changes nothing, and neither argument is touched', () => {
    fc.assert(
      fc.property(tree, tree, (base, over) => {
        const before = structuredClone([base, over])
        expect(deepMerge(base, {})).toEqual(base)
        expect(deepMerge(base, base)).toEqual(base)
        deepMerge(base, over)
        expect([base, over]).toEqual(before)
        expect(({} as Record<string, unknown>)['a']).toBeUndefined()
      }),
    )
  })
})

test('authMerge replaces everything but auth, which it merges key by key', () => {
  expect(authMerge({auth: {a: 1, b: 1}, x: {y: 1}}, {auth: {b: 2}, x: {z: 2}})).toEqual({
    auth: {a: 1, b: 2},
    x: {z: 2},
  })
})
