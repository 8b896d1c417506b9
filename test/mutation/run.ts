import {existsSync} from 'node:fs'
import {parseArgs} from 'node:util'

import {Stryker} from '@stryker-mutator/core'

/*
 * npm run mutation [-- folder… | file… | file:from-to…] [--force]: changes src a little, one change at a time, and tells which
 * ones no unit test notices (docs/tests.md). What is known from before (out/mutation/) is not asked again, as long as neither
 * the code nor its tests have changed; --force asks all.
 */

const {values, positionals} = parseArgs({
  allowPositionals: true,
  options: {force: {type: 'boolean', default: false}},
})
const places = positionals.length > 0 ? positionals : ['src']
for (const place of places)
  if (!existsSync(place.replace(/:[\d-]+$/, ''))) {
    process.stderr.write(`there is no ${place}\n`)
    process.exit(64)
  }
const mutate = places.map(place =>
  /\.ts(:[\d-]+)?$/.test(place) ? place : `${place.replace(/\/+$/, '')}/**/*.ts`,
)
await new Stryker({mutate, force: values.force}).runMutationTest()
