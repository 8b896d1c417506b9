import {createServer} from 'node:net'

import {pino} from 'pino'

import {OsSshError} from '../../errors.ts'
import {loadCloud, openStack} from '../../openstack/index.ts'
import {desire} from '../desire.ts'
import {Agent, type AgentOptions} from './agent.ts'
import {clean} from './clean.ts'
import {foresee} from './foresee.ts'
import {look} from './node.ts'
import {type NodeCloud, survey} from './survey.ts'
import {Visitor} from './visitor.ts'

/* What `os-ssh snat agent` does, each with the account's session. */

export interface Account {
  /** Cloud of clouds.yaml that is the agent's account; OS_* variables when absent. */
  readonly osCloud?: string | undefined
}

/**
 * Logs the account in and works until it is told to stop: an account that cannot log in is told at once.
 * @throws OpenStackError; OsSshError DENIED, BUSY when an agent works on this node already
 */
export async function runAgent(
  account: Account,
  options: Omit<AgentOptions, 'network' | 'log'>,
  signal: AbortSignal,
): Promise<void> {
  const log = pino({redact: ['*.headers']})
  await alone(() =>
    inSession(account, async network => {
      log.info({host: options.host, mode: options.sharing}, 'the agent of the node’s local gateways works')
      await new Agent({...options, network, log}).run(signal)
    }),
  )
}

/** Takes everything of ours off this node: clean.ts. @throws as clean; OsSshError DENIED, BUSY while an agent works here */
export async function cleanNode(
  account: Account,
  host: string,
  grace: number,
  tell: (line: string) => void,
): Promise<void> {
  await alone(() => inSession(account, network => clean(network, host, grace, tell)))
}

/** What an agent would do now. @throws OpenStackError, OsSshError DENIED, LOCAL_TOOL */
export async function dryRun(
  account: Account,
  {host, sharing}: Pick<AgentOptions, 'host' | 'sharing'>,
): Promise<string[]> {
  needRoot()
  return inSession(account, async network => {
    const visitor = new Visitor()
    try {
      const seen = await look(visitor)
      return foresee(desire(await survey(network, host, [...seen.routers.keys()]), host, sharing), seen)
    } finally {
      visitor.close()
    }
  })
}

/** @throws OsSshError DENIED: to others every namespace is as if it were not there */
function needRoot(): void {
  if (process.geteuid?.() !== 0)
    throw new OsSshError('DENIED', 'local gateways are made by root', {
      hint: 'sudo, on the compute node itself',
    })
}

async function inSession<T>({osCloud}: Account, work: (network: NodeCloud) => Promise<T>): Promise<T> {
  const cloud = openStack(await loadCloud(osCloud === undefined ? {} : {cloud: osCloud}))
  try {
    await cloud.identity.token()
    return await work(cloud.network)
  } finally {
    await cloud.close()
  }
}

/** One a node: a name in the abstract namespace, which the kernel frees with its process. unix(7) */
async function alone(work: () => Promise<void>): Promise<void> {
  needRoot()
  const lock = createServer()
  const {promise, resolve, reject} = Promise.withResolvers<void>()
  lock.on('error', reject).listen('\0os-ssh-lsnat', resolve)
  await promise.catch(cause => {
    if (cause.code !== 'EADDRINUSE') throw cause
    throw new OsSshError('BUSY', 'an agent of local gateways works on this node', {
      hint: 'stop it first: systemctl stop os-ssh-lsnat',
      cause,
    })
  })
  await work().finally(() => lock.close())
}
