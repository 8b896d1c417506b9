/**
 * Why a request had no answer, as a sentence's end that a user can do something with. Node's own text for TLS on a plain port
 * is OpenSSL's, with addresses of its source.
 *
 * @param proxy the proxy's URL, when one was in between
 */
export function reasonOf(error: unknown, proxy?: string): string {
  const {code = '', message = ''} = error as NodeJS.ErrnoException
  const through =
    proxy === undefined ? '' : `, by way of the proxy ${proxy} (http_proxy, https_proxy, no_proxy)`
  return `${sentences.find(([pattern]) => pattern.test(`${code} ${message}`))?.[1] ?? (message || code || String(error))}${through}`
}

const sentences: readonly (readonly [RegExp, string])[] = [
  [
    /wrong version number|packet length too long/i,
    'it does not speak TLS: is its address http:// and not https://?',
  ],
  [/HPE_|Parse Error/, 'it does not speak HTTP: is its address https:// and not http://?'],
  [/ENOTFOUND|EAI_AGAIN/, 'its name is not known here: is this machine on the network?'],
  [/ECONNREFUSED/, 'nothing listens there (connection refused)'],
  [/ENETUNREACH|EHOSTUNREACH/, 'there is no way to it from this network'],
  [
    /SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER/,
    'its certificate is of an authority that is not known here: cacert in clouds.yaml, or NODE_EXTRA_CA_CERTS',
  ],
  [/CERT_HAS_EXPIRED/, 'its certificate has expired'],
  [/ERR_TLS_CERT_ALTNAME_INVALID/, 'its certificate is for another name'],
  [/ERR_PROXY_INVALID_CONFIG/, 'the proxy variable is no URL'],
  [/ERR_PROXY_TUNNEL/, 'the proxy does not let it through'],
]
