/**
 * The lab's one process: serves the API and owns the namespaces. Started detached by labUp with the lab's folder as
 * its argument; options lie in options.json there, so that nothing stands in argv. It announces itself by lab.json,
 * or says in `failure` why not.
 */
import {readFileSync, renameSync, writeFileSync} from 'node:fs'
import type {AddressInfo} from 'node:net'

import type {KeyPairText} from '../src/ssh/keys.ts'
import {createLabApi} from './api/app.ts'
import {labInfo} from './info.ts'
import {namespaceFabric} from './net/index.ts'
import {labFiles} from './paths.ts'
import {emptyCloud} from './state.ts'
import {cloudsYaml} from './tenants.ts'
import {defaultTopology} from './topology.ts'

/** What labUp hands over. */
export interface DaemonOptions {
  readonly name: string
  readonly port: number
  readonly index: number
  /** Empty: http://127.0.0.1:PORT+1 */
  readonly ssh_endpoint: string
  readonly token_life: number
}

function write(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, {mode: 0o600})
  renameSync(`${file}.new`, file)
}

function writeKeyPair(file: string, {privateKey, publicKey}: KeyPairText): void {
  write(file, privateKey)
  write(`${file}.pub`, `${publicKey}\n`)
}

async function main(dir: string): Promise<void> {
  const files = labFiles(dir)
  const options = JSON.parse(readFileSync(files.options, 'utf8')) as DaemonOptions
  const cloud = emptyCloud(options.name)
  cloud.token_life = options.token_life
  const fabric = namespaceFabric(cloud, options.name, dir, options.index)
  const app = createLabApi(cloud, fabric)
  await app.listen({host: '127.0.0.1', port: options.port})
  const {port} = app.server.address() as AddressInfo
  cloud.url = `http://127.0.0.1:${port}`
  cloud.ssh_endpoint = options.ssh_endpoint || `http://127.0.0.1:${port + 1}`
  const topology = await defaultTopology(cloud, fabric, options.index)
  const {management, ...tenants} = topology.keys
  writeKeyPair(files.managementKey, management)
  for (const [user, pair] of Object.entries(tenants)) writeKeyPair(files.userKey(user), pair)
  write(
    files.clouds,
    cloudsYaml(`${cloud.url}/identity/v3`, cloud.region, user => topology.users[user]?.password),
  )
  write(files.info, `${JSON.stringify(labInfo(cloud, dir, topology), undefined, 2)}\n`)
}

const dir = process.argv[2]
if (dir !== undefined) {
  main(dir).catch(error => {
    write(labFiles(dir).failure, `${(error as NodeJS.ErrnoException).code ?? ''}\n${(error as Error).stack}`)
    process.exit(1)
  })
}
