import {join} from 'node:path'

import type {Handover} from '../embedded/handover.ts'
import {newKeys, parseKeys, type ServiceKeys} from '../embedded/keys.ts'
import {type Mark, readMark} from '../embedded/mark.ts'
import {type Place, placeOf, socketOf} from '../embedded/place.ts'
import {ensureService} from '../embedded/start.ts'
import {OsSshError} from '../errors.ts'
import type {Keychain} from '../keychain/keychain.ts'
import type {CloudConfig, OpenStack, Token} from '../openstack/index.ts'
import {fileName, packageVersion} from '../system/directories.ts'
import {secretStore} from './secret-store.ts'
import {type SshService, sshServiceClient} from './ssh-service.ts'

/* The user's own service: it runs on this machine, while it is needed, with a member's rights. */

/** What of a session it is made from. */
export interface Owner {
  /** Of the cloud. */
  readonly name: string
  readonly config: CloudConfig
  readonly cloud: Pick<OpenStack, 'identity'>
  /** Runtime directory of the cloud. */
  readonly directory: string
  readonly env: NodeJS.ProcessEnv
  readonly keychain: Keychain
  token(): Promise<Token>
  during<T>(what: string, work: Promise<T>): Promise<T>
}

/** How long it stays without a request when it has nothing to do, s. */
const IDLE_S = 60
/** It may leave between two requests: so often another one is started for one of them. */
const TRIES = 3

export const ownPlace = ({name, directory, env}: Owner): Place => placeOf(name, directory, env)

/**
 * The service that `init` has made, started when it does not run.
 *
 * @param options.begin also where `init` was not done yet, and with new keys when there are none
 * @param options.timeout for one answer, ms
 * @returns undefined where `init` was not done
 * @throws OsSshError CONFIG when it is another project's, is being destroyed, or its keys are lost; NO_KEYCHAIN; whatever it says when it
 *   does not start
 */
export async function ownService(
  owner: Owner,
  {begin = false, timeout}: {readonly begin?: boolean; readonly timeout?: number | undefined} = {},
): Promise<SshService | undefined> {
  const place = ownPlace(owner)
  const mark = await readMark(place)
  if (mark === undefined && !begin) return undefined
  await mayUse(owner, mark)
  const ensure = () =>
    ensureService(place, packageVersion(), () => handover(owner, begin && mark === undefined))
  await owner.during('starting the service', ensure())
  const endpoint = `unix:${socketOf(place)}`
  const token = async () => (await owner.cloud.identity.token()).id
  const client = sshServiceClient({endpoint, token, timeout})
  return {
    endpoint,
    async request(method, path, body) {
      for (let tries = 1; ; tries++) {
        try {
          return await client.request(method, path, body)
        } catch (error) {
          if (tries === TRIES || !mayAskAgain(error, method, path)) throw error
          await ensure()
        }
      }
    },
  }
}

/** @throws OsSshError CONFIG */
async function mayUse(owner: Owner, mark: Mark | undefined): Promise<void> {
  if (mark === undefined) return
  const {project} = await owner.token()
  if (project?.id !== mark.project.id)
    throw new OsSshError(
      'CONFIG',
      `the gates of cloud ${owner.name} are in project ${mark.project.name}, and you are in ${project?.name ?? 'none'}`,
      {hint: 'another entry of clouds.yaml has gates of its own: os-ssh init --os-cloud NAME'},
    )
  if (mark.ending)
    throw new OsSshError('CONFIG', 'the gates of this project are being taken away', {
      hint: 'os-ssh destroy goes on with that',
    })
}

/** Was it never heard, or is it the same when it is done twice? */
function mayAskAgain(error: unknown, method: string, path: string): boolean {
  const cause = error instanceof OsSshError ? (error.cause as NodeJS.ErrnoException | undefined) : undefined
  if (['ENOENT', 'ECONNREFUSED'].includes(cause?.code ?? '')) return true
  const isSame = method !== 'POST' || path.startsWith('/v1/paths')
  return isSame && ['ECONNRESET', 'EPIPE'].includes(cause?.code ?? '')
}

async function handover(owner: Owner, isNew: boolean): Promise<Handover> {
  const {config, env} = owner
  const idle = Number(env['OS_SSH_SERVICE_IDLE'])
  return {
    cloud: config,
    token: await owner.token(),
    keys: await keysOf(owner, isNew),
    version: packageVersion(),
    idle: Number.isFinite(idle) && idle > 0 ? idle : IDLE_S,
  }
}

/** The keys of the service. @throws OsSshError CONFIG when they are lost, NO_KEYCHAIN */
export async function keysOf(owner: KeyOwner, isNew: boolean): Promise<ServiceKeys> {
  const kept = await keyStore(owner).get()
  if (kept !== undefined) return parseKeys(kept)
  if (!isNew)
    throw new OsSshError('CONFIG', `the keys of the gates are not in the keychain (${owner.keychain.kind})`, {
      hint: 'where they were kept says --keychain; are they lost: os-ssh destroy, then os-ssh init',
    })
  const keys = newKeys()
  await keyStore(owner).set(JSON.stringify(keys))
  return keys
}

type KeyOwner = Pick<Owner, 'name' | 'keychain' | 'directory'>

/** Where the keys of the service are: the keychain; for the keychain `agent` a file in the runtime directory, as the token. */
export function keyStore({name, keychain, directory}: KeyOwner) {
  return secretStore(keychain, `service:${fileName(name)}`, join(directory, 'service.keys'))
}
