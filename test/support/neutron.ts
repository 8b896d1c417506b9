import type {World} from './world.ts'

/** Neutron as that user of clouds.yaml, for what os-ssh itself never makes: networks, subnets, routers. */
export async function neutronAs(world: World, user: string) {
  const cloud = await world.cloud(user)
  const [endpoint, token] = [await cloud.endpoint('network'), await cloud.identity.token()]
  const base = `${endpoint?.replace(/\/(v2\.0\/?)?$/, '')}/v2.0`
  const call = async (method: string, path: string, body?: object) => {
    const answer = await fetch(`${base}/${path}`, {
      method,
      headers: {'x-auth-token': token.id, 'content-type': 'application/json'},
      ...(body === undefined ? {} : {body: JSON.stringify(body)}),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
    return (text === '' ? {} : JSON.parse(text)) as Record<string, {id: string}>
  }
  const made: string[] = []
  const make = async (kind: string, given: object): Promise<string> => {
    const singular = kind.slice(0, -1)
    const id = (await call('POST', kind, {[singular]: given}))[singular]?.id ?? ''
    made.unshift(`${kind}/${id}`)
    return id
  }
  return {
    call,
    network: (name: string, more: object = {}) => make('networks', {name, ...more}),
    subnet: (network_id: string, cidr: string, more: object = {}) =>
      make('subnets', {network_id, cidr, ip_version: 4, ...more}),
    port: (network_id: string, more: object = {}) => make('ports', {network_id, ...more}),
    router: (name: string) => make('routers', {name}),
    /** Gives a router an interface by a port or a subnet. */
    async join(router: string, by: {port_id: string} | {subnet_id: string}): Promise<void> {
      await call('PUT', `routers/${router}/add_router_interface`, by)
      made.unshift(`routers/${router}/remove_router_interface ${JSON.stringify(by)}`)
    },
    /** Takes away what was made, the newest first. */
    async close(): Promise<void> {
      for (const one of made) {
        const [path = '', body] = one.split(' ')
        await (body === undefined
          ? call('DELETE', path)
          : call('PUT', path, JSON.parse(body) as object)
        ).catch(() => undefined)
      }
    },
  }
}
