import {existsSync} from 'node:fs'
import {readdir, readFile} from 'node:fs/promises'
import {join} from 'node:path'

import type {Image, KeyPair, Server} from '../openstack/types.ts'
import type {ConfigHost} from '../ssh/config.ts'
import {fingerprint, md5Fingerprint} from '../ssh/keys.ts'
import {configPath, proxyCommand} from '../ssh/quote.ts'
import {packageRoot, sshDirectory} from '../system/directories.ts'
import type {Session} from './session.ts'

/** Logins of the distributions' own cloud images, by Glance's os_distro (image properties of the Glance documentation). */
const logins: Readonly<Record<string, string>> = {
  almalinux: 'almalinux',
  alpine: 'alpine',
  amazon: 'ec2-user',
  arch: 'arch',
  centos: 'cloud-user',
  cirros: 'cirros',
  coreos: 'core',
  debian: 'debian',
  fedora: 'fedora',
  'fedora-coreos': 'core',
  flatcar: 'core',
  freebsd: 'freebsd',
  opensuse: 'opensuse',
  rhel: 'cloud-user',
  rocky: 'rocky',
  sles: 'sles',
  ubuntu: 'ubuntu',
}
const LOGIN = /^[A-Za-z_][\w.-]{0,31}$/

/** Login of an image: its os_admin_user, else its distribution's; undefined when neither is known or fit. */
export function loginOf(image: Pick<Image, 'os_admin_user' | 'os_distro'> | undefined): string | undefined {
  const wanted = image?.os_admin_user ?? logins[image?.os_distro?.toLowerCase() ?? '']
  return wanted !== undefined && LOGIN.test(wanted) ? wanted : undefined
}

/** The VMs as ssh_config hosts, with two bulk listings beside theirs, however many they are. */
export async function configHosts(session: Session, servers: readonly Server[]): Promise<ConfigHost[]> {
  const {cloud} = session
  // Neither listing is needed to connect: a role that may not read images still gets its hosts.
  const [token, images, pairs, local] = await Promise.all([
    session.token(),
    servers.some(server => server.image) ? cloud.image.images().catch(() => []) : [],
    servers.some(server => server.key_name) ? cloud.compute.keyPairs().catch(() => []) : [],
    localKeys(),
  ])
  const byId = new Map(images.map(image => [image.id, image]))
  const byName = new Map(pairs.map(pair => [pair.name, pair]))
  return servers.map(server => ({
    id: server.id,
    name: server.name,
    project: token.project?.name ?? '',
    user: loginOf(server.image ? byId.get(server.image.id) : undefined),
    identityFile: identityFile(byName.get(server.key_name ?? ''), local),
    proxyCommand: proxyCommand(proxyWords(session, server.id)),
  }))
}

function proxyWords({name, keychain}: Session, id: string): string[] {
  // The ProxyCommand is started by editors and cron too, which have not the variables of this shell.
  const kind = keychain.kind === 'system' ? [] : [keychain.kind]
  if (process.platform === 'win32') {
    return [process.execPath, join(packageRoot(), 'bin', 'run.js'), 'proxy', name, id, ...kind]
  }
  return [join(packageRoot(), 'bin', 'proxy'), name, id, ...kind]
}

/** Keys in ~/.ssh by fingerprint, MD5 as Nova has it and SHA256; values are files that exist. */
async function localKeys(directory = sshDirectory()): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>()
  const names = await readdir(directory).catch(() => [])
  for (const name of names.filter(name => name.endsWith('.pub') && !name.endsWith('-cert.pub')).sort()) {
    const file = join(directory, name)
    try {
      const line = await readFile(file, 'utf8')
      // The private file where there is one; else the key may be in the user's agent, which the public file selects.
      const best = existsSync(file.slice(0, -'.pub'.length)) ? file.slice(0, -'.pub'.length) : file
      for (const mark of [md5Fingerprint(line), fingerprint(line)])
        if (!found.has(mark)) found.set(mark, best)
    } catch {
      // Not a key that can be used.
    }
  }
  return found
}

function identityFile(pair: KeyPair | undefined, local: ReadonlyMap<string, string>): string | undefined {
  const file = pair && local.get(pair.fingerprint.replace(/^MD5:/, ''))
  return file && configPath(file)
}
