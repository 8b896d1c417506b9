import {collectDefaultMetrics, Gauge, Histogram, Registry} from 'prom-client'

import {countByState} from '../store/open.ts'
import type {Api, Deps} from './deps.ts'

/** /metrics in the Prometheus text format: our process, the requests, and what the tables hold. */
export function metrics(api: Api, {context}: Deps): void {
  const registry = new Registry()
  collectDefaultMetrics({register: registry})
  const requests = new Histogram({
    name: 'os_ssh_request_seconds',
    help: 'Time to answer, by route and status',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 20],
    registers: [registry],
  })
  const {db} = context
  const count = (name: string, help: string, table: 'paths' | 'gates' | 'attachments') =>
    new Gauge({
      name,
      help,
      labelNames: ['state'],
      registers: [registry],
      async collect() {
        this.reset()
        for (const [state, n] of await countByState(db, table)) this.set({state}, n)
      },
    })
  count('os_ssh_paths', 'Paths by state', 'paths')
  count('os_ssh_gates', 'Gates by state', 'gates')
  count('os_ssh_attachments', 'Networks plugged into gates, by state', 'attachments')

  api.addHook('onResponse', async (request, reply) => {
    const labels = {
      method: request.method,
      route: request.routeOptions.url ?? 'none',
      status: reply.statusCode,
    }
    requests.observe(labels, reply.elapsedTime / 1000)
  })
  api.get('/metrics', {schema: {hide: true}}, async (_, reply) =>
    reply.type(registry.contentType).send(await registry.metrics()),
  )
}
