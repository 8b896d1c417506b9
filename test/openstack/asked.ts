import {readFileSync} from 'node:fs'

import {dir} from './place.ts'

const root = new URL('../..', import.meta.url).pathname
const logs = {Nova: 'nova-api', Neutron: 'neutron-server', Glance: 'glance-api'} as const
type Service = keyof typeof logs

/** What the services have logged of a user's calls since this was made. */
export class Asked {
  readonly #since = new Map<string, number>()

  constructor() {
    for (const service of Object.values(logs)) this.#since.set(service, log(service).length)
  }

  /**
   * Calls of a user, ids taken out, sorted.
   * @param from by default the workstation: what comes from elsewhere is asked by the services themselves
   */
  of(service: Service, userId: string, from = '127.0.0.1'): string[] {
    const lines = log(logs[service]).slice(this.#since.get(logs[service])).split('\n')
    const calls = lines.flatMap(line => {
      if (!line.includes(` ${userId} `)) return []
      const [, who, method, path = ''] = /([\d.]+) (?:- - \[[^\]]+\] )?"([A-Z]+) (\S+)/.exec(line) ?? []
      return who === from ? [`${method} ${general(path)}`] : []
    })
    return [...new Set(calls)].sort()
  }
}

const log = (name: string) => readFileSync(`${dir}/log/${name}.log`, 'utf8')

/** Of what an id is, where that is not said by the collection's name. */
const names: Readonly<Record<string, string>> = {servers: 'GATE', 'os-interface': 'PORT', quotas: 'PROJECT'}

function general(path: string): string {
  const parts = (path.split('?')[0] ?? '').split('/')
  const isId = (part: string) => /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/.test(part)
  const named = parts.map((part, n) => {
    const kind = parts[n - 1] ?? ''
    return isId(part) ? (names[kind] ?? kind.replace(/s$/, '').replaceAll('-', '_').toUpperCase()) : part
  })
  return named.join('/')
}

/** The calls that a section of a document lists, sorted. @param title its heading, with the hashes @param doc its name in docs/ */
export function documented(title: string, service: Service, doc = 'service-account'): string[] {
  const text = readFileSync(`${root}docs/${doc}.md`, 'utf8')
  const [, section = ''] = text.split(`\n${title}\n`)
  const rows = [...(section.split(/\n#+ /)[0] ?? '').matchAll(/^\| (\w+) \| ([A-Z]+ \S+) \|/gm)]
  return rows.flatMap(([, name, call = '']) => (name === service ? [call] : [])).sort()
}
