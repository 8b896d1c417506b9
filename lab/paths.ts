import {join} from 'node:path'
import {fileURLToPath} from 'node:url'

/** Where all labs of this machine keep their state. */
export function stateRoot(env: NodeJS.ProcessEnv = process.env): string {
  return env['OS_SSH_LAB_STATE'] || '/var/tmp/os-ssh-lab'
}

/** One lab's folder. @throws Error when the name could not be part of a namespace's name */
export function labDir(name: string): string {
  if (!/^[a-z0-9][a-z0-9-]{0,30}$/.test(name)) {
    throw new Error(`lab name ${JSON.stringify(name)}: use at most 31 lower-case letters, digits and dashes`)
  }
  return join(stateRoot(), name)
}

/** Name of a network namespace of a lab. The end has a fixed shape, so that no lab's name can claim another lab's namespaces. */
export function netnsName(lab: string, kind: 'net' | 'rtr' | 'vm', id: string): string {
  return `oslab-${lab}-${kind}-${id.slice(0, 8)}`
}

/** Does this namespace belong to that lab? */
export function isNetnsOf(lab: string, netns: string): boolean {
  return (
    netns.startsWith(`oslab-${lab}-`) &&
    /^(net|rtr|vm)-[0-9a-f]{8}$/.test(netns.slice(`oslab-${lab}-`.length))
  )
}

const script = (name: string) => fileURLToPath(new URL(name, import.meta.url))
/** PID 1 of a guest without user data, made quickly; and of one with user data, which runs Debian's cloud-init. */
export const guestInit = {plain: script('guest-init'), cloud: script('guest-init-cloud')} as const

/** Files of one lab. */
export function labFiles(dir: string) {
  return {
    options: join(dir, 'options.json'),
    info: join(dir, 'lab.json'),
    log: join(dir, 'daemon.log'),
    failure: join(dir, 'failure'),
    clouds: join(dir, 'clouds.yaml'),
    managementKey: join(dir, 'management_key'),
    userKey: (user: string) => join(dir, `id_${user}`),
    guest: (id: string) => join(dir, 'vms', id),
  }
}

/** Set in the environment of every process of a lab (the daemon, every guest's first process): how `down` finds them. */
export const marker = 'OS_SSH_LAB_MEMBER'
