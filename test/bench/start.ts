import {mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {createServer} from 'node:net'

import {pathFiles} from '../../src/access/path-files.ts'
import {root} from '../support/world.ts'
import {type Bench, type Measured, measured, timed} from './measure.ts'

/** Start-up against `node -e 0`: `proxy` is bin/proxy of a fresh path until it becomes ssh, `version` is --version. */
export const start: Bench = {
  names: ['proxy', 'version'],
  async run(names, runs) {
    const node = process.execPath
    const idle = () => timed(node, ['-e', '0'])
    const results: Measured[] = []
    const pairs = (name: string, ours: () => number) => {
      const [mine, base]: [number[], number[]] = [[], []]
      ours()
      for (let n = 0; n < runs * 2; n++) {
        base.push(idle())
        mine.push(ours())
      }
      results.push(measured(name, 'ms', mine, base))
    }
    if (names.includes('proxy')) {
      const scene = freshPath()
      pairs('proxy', () => timed(`${root}bin/proxy`, ['cloud', scene.vm], scene.env))
      scene.end()
    }
    if (names.includes('version')) pairs('version', () => timed(node, [`${root}bin/run.js`, '--version']))
    return results
  },
}

/** A path's state as access writes it, and an `ssh` that ends at once. */
function freshPath() {
  const directory = mkdtempSync('/tmp/os-ssh-bench-')
  const vm = '00000000-0000-4000-8000-000000000001'
  const cloud = `${directory}/os-ssh/cloud`
  mkdirSync(cloud, {recursive: true, mode: 0o700})
  mkdirSync(`${directory}/bin`)
  symlinkSync('/bin/true', `${directory}/bin/ssh`)
  const until = Math.floor(Date.now() / 1000) + 3600
  const {state, config} = pathFiles(cloud, vm)
  writeFileSync(state, `${until} 100.64.0.16 22 gate\n`)
  writeFileSync(config, '')
  // Without a pinned host key no path is fresh.
  mkdirSync(`${directory}/.ssh/os-ssh`, {recursive: true})
  writeFileSync(`${directory}/.ssh/os-ssh/known_hosts`, `${vm} ssh-ed25519 AAAA\n`)
  const agent = createServer().listen(`${cloud}/agent`)
  agent.unref()
  return {
    vm,
    env: {PATH: `${directory}/bin:${process.env['PATH']}`, HOME: directory, XDG_RUNTIME_DIR: directory},
    end() {
      agent.close()
      rmSync(directory, {recursive: true, force: true})
    },
  }
}
