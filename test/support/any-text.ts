import fc from 'fast-check'

/** Any text, halves of pairs too. As fast-check's own `unit: 'binary'`, whose first use costs seconds. */
export const anyText = fc
  .array(
    fc.oneof(
      fc.integer({min: 0, max: 0x2ff}),
      fc.integer({min: 0x2000, max: 0x20ff}),
      fc.integer({min: 0, max: 0x10ffff}),
    ),
    {maxLength: 40},
  )
  .map(points => String.fromCodePoint(...points))
