import {eventually} from './run.ts'
import type {World} from './world.ts'

/** An action of Nova's on a server, for what os-ssh itself never does: stop, rebuild. Waits until it is ACTIVE again, or what is `wanted`. */
export async function act(
  world: World,
  user: string,
  id: string,
  action: object,
  wanted = 'ACTIVE',
): Promise<void> {
  const cloud = await world.cloud(user)
  const answer = await fetch(`${await cloud.endpoint('compute')}/servers/${id}/action`, {
    method: 'POST',
    headers: {'x-auth-token': (await cloud.identity.token()).id, 'content-type': 'application/json'},
    body: JSON.stringify(action),
  })
  if (answer.status !== 202)
    throw new Error(`${JSON.stringify(action)}: ${answer.status} ${await answer.text()}`)
  await eventually(
    () => cloud.compute.server(id),
    ({status}) => status === wanted,
    60_000,
  )
}
