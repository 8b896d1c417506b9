/*
 * `snat status` of a cloud of 10,000 routers and 100,000 ports, through the real client; the cloud is a process of its
 * own, every run another. Beside it what it would take to ask router by router (router, ports, l3-agents), as tools
 * without bulk listings do, measured on a sample and scaled. One JSON row on standard output.
 */
import {type ChildProcess, spawn} from 'node:child_process'
import {createInterface} from 'node:readline'
import {Writable} from 'node:stream'
import {fileURLToPath} from 'node:url'

import {loadCloud, openStack} from '../../src/openstack/index.ts'
import {columnsFor, readStatus, STATUS_DATA, STATUS_TABLE} from '../../src/snat/index.ts'
import {smallHeap} from '../../src/system/heap.ts'
import {render} from '../../src/ui/output.ts'

const ROUTERS = 10_000
const PORTS = 100_000
const RUNS = 5
const SAMPLE = 300

interface Result {
  readonly wall_s: number
  readonly cpu_s: number
  readonly rss_mb: number
  readonly calls: number
}

async function open(url: string) {
  const env = {
    OS_AUTH_URL: `${url}/v3`,
    OS_USERNAME: 'admin',
    OS_PASSWORD: 'bench',
    OS_PROJECT_NAME: 'admin',
    OS_USER_DOMAIN_NAME: 'Default',
    OS_PROJECT_DOMAIN_NAME: 'Default',
  }
  return openStack(await loadCloud({env}))
}

async function measured(work: () => Promise<number>): Promise<Result> {
  const [wall, cpu] = [performance.now(), process.cpuUsage()]
  const calls = await work()
  const used = process.cpuUsage(cpu)
  return {
    wall_s: (performance.now() - wall) / 1000,
    cpu_s: (used.user + used.system) / 1e6,
    rss_mb: process.resourceUsage().maxRSS / 1024,
    calls,
  }
}

/** In a process of its own: one `snat status`, the printing included. */
async function ours(url: string): Promise<Result> {
  smallHeap()
  const cloud = await open(url)
  const nowhere = new Writable({write: (_chunk, _encoding, done) => done()})
  const result = await measured(async () => {
    const {rows} = (await readStatus(cloud, [], {})).answer
    if (rows.length !== ROUTERS) throw new Error(`${rows.length} routers`)
    await render(
      rows,
      columnsFor('json', undefined, STATUS_TABLE, STATUS_DATA),
      {format: 'json'},
      {screen: nowhere},
    )
    return cloud.calls
  })
  await cloud.close()
  return result
}

/** In a process of its own: three calls a router for a sample of them. */
async function oneByOne(url: string): Promise<Result> {
  const cloud = await open(url)
  const routers = await cloud.network.routers({limit: SAMPLE, fields: ['id']})
  const result = await measured(async () => {
    const before = cloud.calls
    for (const {id} of routers.slice(0, SAMPLE)) {
      await cloud.network.router(id)
      await cloud.network.ports({device_id: id})
      await cloud.network.routerAgents(id)
    }
    return cloud.calls - before
  })
  await cloud.close()
  return result
}

function startCloud(): Promise<{url: string; child: ChildProcess}> {
  const script = fileURLToPath(new URL('snat-10k-cloud.ts', import.meta.url))
  const child = spawn(process.execPath, [script, String(ROUTERS), String(PORTS)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject).once('exit', code => reject(new Error(`the cloud ended with ${code}`)))
    if (child.stdout) createInterface({input: child.stdout}).once('line', url => resolve({url, child}))
  })
}

async function inProcess(kind: 'ours' | 'one-by-one', url: string): Promise<Result> {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), kind, url], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  for await (const chunk of child.stdout) text += String(chunk)
  return JSON.parse(text) as Result
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0
const round = (value: number) => Math.round(value * 100) / 100

/** Runs everything and gives the row. */
export async function snat10k() {
  const {url, child} = await startCloud()
  try {
    const results: Result[] = []
    for (let run = 0; run < RUNS; run++) results.push(await inProcess('ours', url))
    const sample = await inProcess('one-by-one', url)
    const [mine, theirs] = [median(results.map(r => r.wall_s)), (sample.wall_s * ROUTERS) / SAMPLE]
    return {
      name: 'snat-10k',
      unit: 's',
      ours: round(mine),
      baseline: round(theirs),
      ratio: round(mine / theirs),
      runs: RUNS,
      calls: results[0]?.calls,
      cpu_s: round(median(results.map(r => r.cpu_s))),
      rss_mb: Math.round(Math.max(...results.map(r => r.rss_mb))),
      note: `baseline: three calls a router, ${SAMPLE} routers measured, scaled to ${ROUTERS}`,
    }
  } finally {
    child.stdin?.end()
  }
}

const [kind, url] = process.argv.slice(2)
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const result = url === undefined ? await snat10k() : await (kind === 'ours' ? ours(url) : oneByOne(url))
  console.log(JSON.stringify(result))
}
