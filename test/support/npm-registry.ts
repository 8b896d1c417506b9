import {once} from 'node:events'
import {mkdirSync, readFileSync} from 'node:fs'
import {createServer, type Server} from 'node:http'
import type {AddressInfo} from 'node:net'

import {run} from './run.ts'

const modules = new URL('../../node_modules/', import.meta.url).pathname
const lock = JSON.parse(readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8')) as {
  packages: Record<string, {hasInstallScript?: boolean}>
}

/** An npm registry on this machine's loopback, of packages as they are installed here. */
export class Registry {
  readonly url: string
  readonly #server: Server

  private constructor(url: string, server: Server) {
    this.url = url
    this.#server = server
  }

  /** @param folder for what is packed */
  static async open(folder: string, names: readonly string[]): Promise<Registry> {
    mkdirSync(folder, {recursive: true})
    const tarballs = new Map<string, string>()
    for (const name of names) {
      const packed = await run('npm', ['pack', `${modules}${name}`, '--pack-destination', folder, '--silent'])
      if (packed.status !== 0) throw new Error(packed.stderr)
      tarballs.set(name, `${folder}/${packed.stdout.trim()}`)
    }
    const server = createServer((request, response) => {
      const path = decodeURIComponent(request.url ?? '').slice(1)
      const [name = '', tarball] = path.split('/-/')
      const file = tarballs.get(name)
      if (file === undefined) response.writeHead(404).end('{}')
      else if (tarball !== undefined) response.end(readFileSync(file))
      else response.end(JSON.stringify(listing(name, `http://${request.headers.host}/${name}/-/it.tgz`)))
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return new Registry(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, server)
  }

  close(): void {
    this.#server.close()
  }
}

/** What a registry says of a package; whether it has something to run at installation as the real one said it. */
function listing(name: string, tarball: string): object {
  const ours = JSON.parse(readFileSync(`${modules}${name}/package.json`, 'utf8'))
  const {hasInstallScript} = lock.packages[`node_modules/${name}`] ?? {}
  const version = {...ours, ...(hasInstallScript && {hasInstallScript}), dist: {tarball}}
  return {name, 'dist-tags': {latest: ours.version}, versions: {[ours.version]: version}}
}
