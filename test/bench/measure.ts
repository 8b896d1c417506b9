import {spawnSync} from 'node:child_process'

export interface Measured {
  readonly name: string
  readonly unit: string
  readonly ours: number
  readonly baseline: number | null
  readonly ratio: number | null
  readonly runs: number
  readonly [extra: string]: unknown
}

export interface Bench {
  readonly names: readonly string[]
  run(names: readonly string[], runs: number): Promise<Measured[]>
}

/** What the issue asks for: at most this ratio (`<=`), at least (`>=`), or this much in the unit. */
const aims: Record<string, string> = {
  'ssh-first': '<= 1.15',
  'ssh-warm': '<= 0.7',
  'ssh-direct': '<= 1.1',
  throughput: '>= 0.95',
  proxy: '<= 0.3',
  version: '<= 1.5',
  'grant-reuse': '<= 100 ms',
  'grant-attach': '<= 600 ms',
  'service-rss': '<= 150 MB',
  'load-grants': '>= 150/s',
  'load-growth': '<= 1.2',
  'load-revoke': '<= 250 ms',
  deploy: '<= 3',
  heal: '<= 15 s, real <= 60 s',
  'embedded-start': '<= 15',
  'embedded-rss': '<= 100 MB',
  init: '<= 4',
  'localgw-latency': '<= 0.6',
  'localgw-throughput': '>= 0.85',
  'localgw-takeover': '<= 8 s',
  'localgw-fallback': '<= 4 s',
  'localgw-scale': '<= 6 s, 120 MB',
}

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

const round = (value: number) => Number(value.toPrecision(4))

/** One result; the ratio is the median of the ratios of each pair, so that a slow minute of the machine cancels out. */
export function measured(
  name: string,
  unit: string,
  ours: readonly number[],
  baseline: readonly number[] = [],
  inverse = false,
): Measured {
  const ratios = ours
    .map((value, n) => value / (baseline[n] ?? Number.NaN))
    .map(ratio => (inverse ? 1 / ratio : ratio))
  const paired = baseline.length > 0
  return {
    name,
    unit,
    ours: round(median(ours)),
    baseline: paired ? round(median(baseline)) : null,
    ratio: paired ? round(median(ratios)) : null,
    runs: ours.length,
  }
}

export function row(result: Measured): string[] {
  const amount = (value: number | null) => (value === null ? '-' : `${value} ${result.unit}`)
  return [
    result.name,
    amount(result.ours),
    amount(result.baseline),
    result.ratio === null ? '-' : `${result.ratio}`,
    aims[result.name] ?? '',
    `${result.runs}`,
  ]
}

/** Wall time of a command, ms. Throws when it fails: a fast failure is no result. */
export function timed(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): number {
  const begun = performance.now()
  const {status, stderr} = spawnSync(command, args, {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  })
  const took = performance.now() - begun
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${status} ${stderr}`)
  return took
}
