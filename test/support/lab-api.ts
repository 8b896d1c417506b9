import {createLabApi} from '../../lab/api/app.ts'
import {paperFabric} from '../../lab/net/fabric.ts'
import {type Cloud, emptyCloud} from '../../lab/state.ts'
import {accounts} from '../../lab/tenants.ts'
import {defaultTopology} from '../../lab/topology.ts'

export interface Reply {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: answers of an API are looked into freely
  readonly body: any
  readonly headers: Readonly<Record<string, unknown>>
}

export type Ask = (
  method: string,
  url: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<Reply>

/** The lab's API with its default topology on paper: no root, no namespaces. */
export async function paperLab() {
  const cloud: Cloud = emptyCloud('paper')
  const fabric = paperFabric()
  const app = createLabApi(cloud, fabric)
  cloud.url = 'http://127.0.0.1:5100'
  cloud.ssh_endpoint = 'http://127.0.0.1:5101'
  const topology = await defaultTopology(cloud, fabric, 20)
  const ask = async (
    method: string,
    url: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Reply> => {
    const reply = await app.inject({
      method: method as 'GET',
      url,
      headers: {...headers, ...(body === undefined ? {} : {'content-type': 'application/json'})},
      ...(body === undefined ? {} : {payload: JSON.stringify(body)}),
    })
    const json = reply.body !== '' && String(reply.headers['content-type']).includes('json')
    return {status: reply.statusCode, body: json ? reply.json() : reply.body, headers: reply.headers}
  }
  const login = async (entry: keyof typeof accounts) => {
    const [name, project] = accounts[entry]
    const domain = {id: 'default'}
    const user = {name, domain, password: topology.users[name]?.password}
    const scope = {project: {name: project, domain}}
    const reply = await ask('POST', '/identity/v3/auth/tokens', {
      auth: {identity: {methods: ['password'], password: {user}}, scope},
    })
    return String(reply.headers['x-subject-token'])
  }
  /** Asks as the user of a clouds.yaml entry. */
  const as = async (entry: keyof typeof accounts): Promise<Ask> => {
    const token = await login(entry)
    return (method, url, body, headers = {}) => ask(method, url, body, {'x-auth-token': token, ...headers})
  }
  const id = (name: string): string => {
    const all = [
      ...cloud.servers.values(),
      ...cloud.networks.values(),
      ...cloud.routers.values(),
      ...cloud.projects.values(),
    ]
    const found = all.find(record => record.name === name)
    if (!found) throw new Error(`no ${name}`)
    return found.id
  }
  return {app, cloud, fabric, topology, ask, as, login, id}
}
