import {run} from '../../system/commands.ts'
import {memberDevice, namespaceOf, numberOf} from '../names.ts'
import type {Seen} from './node.ts'

/** The numbers that members have, by router, read off the addresses of their links. @throws CommandError */
export async function numbers({legs, routers}: Seen): Promise<Map<string, number>> {
  const byDevice = new Map([...routers.keys()].map(router => [memberDevice(router), router]))
  const found = new Map<string, number>()
  for (const id of legs.keys()) {
    const listed = JSON.parse(
      await run(['ip', '-n', namespaceOf(id), '-4', '-j', 'address', 'show']),
    ) as Listed
    for (const {ifname, addr_info} of listed) {
      const router = byDevice.get(ifname ?? '')
      const number = addr_info?.map(({local}) => numberOf(local)).find(one => one !== undefined)
      if (router !== undefined && number !== undefined) found.set(router, number)
    }
  }
  return found
}

type Listed = {ifname?: string; addr_info?: {local: string}[]}[]
