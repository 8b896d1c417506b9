/** An answer that is not the wanted one, in the words and the shape of the service that gives it (samples of a real cloud in docs). */
export class ApiFault extends Error {
  readonly status: number
  readonly body: unknown

  constructor(status: number, message: string, body: unknown) {
    super(message)
    this.name = 'ApiFault'
    this.status = status
    this.body = body
  }
}

const titles: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  409: 'Conflict',
  413: 'Request Entity Too Large',
}

const novaKeys: Readonly<Record<number, string>> = {
  400: 'badRequest',
  403: 'forbidden',
  404: 'itemNotFound',
  409: 'conflictingRequest',
}

/** What keystonemiddleware answers in front of every service, and Keystone itself. */
export function unauthorized(): ApiFault {
  const message = 'The request you have made requires authentication.'
  return new ApiFault(401, message, {error: {code: 401, title: 'Unauthorized', message}})
}

/** Keystone's error document. */
export function keystoneFault(status: number, message: string): ApiFault {
  return new ApiFault(status, message, {error: {code: status, message, title: titles[status] ?? 'Error'}})
}

/** Keystone's refusal of an action. */
export function keystoneForbidden(action: string): ApiFault {
  return keystoneFault(403, `You are not authorized to perform the requested action: ${action}.`)
}

/** Nova's error document; the key depends on the status. */
export function novaFault(status: number, message: string): ApiFault {
  return new ApiFault(status, message, {[novaKeys[status] ?? 'computeFault']: {code: status, message}})
}

/** Nova's refusal by policy. */
export function novaForbidden(rule: string): ApiFault {
  return novaFault(403, `Policy doesn't allow os_compute_api:${rule} to be performed.`)
}

/** Neutron's error document. */
export function neutronFault(status: number, type: string, message: string): ApiFault {
  return new ApiFault(status, message, {NeutronError: {type, message, detail: ''}})
}

/** Neutron's refusal by policy. */
export function neutronForbidden(rule: string): ApiFault {
  return neutronFault(403, 'PolicyNotAuthorized', `${rule} is disallowed by policy`)
}

/** Neutron's 404; `kind` is written as in its exception, e.g. `Port` for PortNotFound. */
export function neutronNotFound(kind: string, id: string): ApiFault {
  const sentences: Record<string, string> = {
    SecurityGroup: `Security group ${id} does not exist`,
    SecurityGroupRule: `Security group rule ${id} does not exist`,
    FloatingIP: `Floating IP ${id} could not be found`,
    Router: `Router ${id} could not be found`,
  }
  const words = kind.replace(/([a-z])([A-Z])/g, (_, a: string, b: string) => `${a} ${b.toLowerCase()}`)
  return neutronFault(404, `${kind}NotFound`, sentences[kind] ?? `${words} ${id} could not be found.`)
}

/** Glance (webob) for those who accept JSON. */
export function glanceProblem(status: number, text: string): ApiFault {
  const title = titles[status] ?? 'Error'
  return new ApiFault(status, text, {message: `${text}<br /><br />\n\n\n`, code: `${status} ${title}`, title})
}

/** Glance for those who do not: HTML. */
export function glanceFault(status: number, text: string): ApiFault {
  const title = `${status} ${titles[status] ?? 'Error'}`
  return new ApiFault(
    status,
    text,
    `<html>\n <head>\n  <title>${title}</title>\n </head>\n <body>\n  <h1>${title}</h1>\n  ${text}<br /><br />\n\n\n\n </body>\n</html>`,
  )
}
