import type {ProxySettings} from './config.ts'
import {withoutSecrets} from './failure.ts'

/** The proxy that a request to this URL goes by, without its password; undefined for none. As Node's `proxyEnv` decides. */
export function proxyOf(
  url: {readonly protocol: string; readonly hostname: string; readonly port: string},
  {http_proxy, https_proxy, no_proxy = ''}: ProxySettings = {},
): string | undefined {
  const proxy = url.protocol === 'https:' ? https_proxy : http_proxy
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase()
  const excepted = no_proxy
    .toLowerCase()
    .split(/[\s,]+/)
    .some(one => {
      if (one === '*' || one === host || one === `${host}:${url.port}`) return true
      const end = one.replace(/^\*\./, '.')
      return end.startsWith('.') && host.endsWith(end)
    })
  return proxy === undefined || excepted ? undefined : withoutSecrets(proxy)
}
