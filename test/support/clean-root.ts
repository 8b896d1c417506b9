import {type ChildProcess, spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdirSync, rmSync} from 'node:fs'

import {eventually, type Result, run} from './run.ts'

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** The temporary directories stay the machine's: the lab and a user's home are there. What runs inside ends with its files. */
const INIT = `set -e
  dir=$1 hidden=$2
  mount -t tmpfs tmpfs "$dir"
  mkdir "$dir/up" "$dir/work" "$dir/root"
  mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/up,workdir=$dir/work" "$dir/root"
  cd "$dir/root"
  mount -t proc proc proc; mount --rbind /dev dev; mount -t tmpfs tmpfs run
  mount --bind /tmp tmp; mount --bind /var/tmp var/tmp
  rm -f usr/bin/node usr/local/bin/node usr/bin/npm usr/local/bin/npm
  mount -t tmpfs tmpfs ".$hidden"
  touch run/there
  exec chroot . sleep infinity`

/** This machine without any Node and without a checkout, on files of its own: what is installed there is gone with it. */
export class CleanRoot {
  readonly #folder: string
  readonly #init: ChildProcess

  private constructor(folder: string, init: ChildProcess) {
    this.#folder = folder
    this.#init = init
  }

  /** @param hidden what nobody may find there: the checkout */
  static async make(folder: string, hidden: string): Promise<CleanRoot> {
    mkdirSync(folder)
    const init = spawn('unshare', ['--mount', 'sh', '-c', INIT, 'init', folder, hidden], {
      env: {PATH},
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    const root = new CleanRoot(folder, init)
    await eventually(
      async () => init.exitCode ?? (await root.run('test', '-e', '/run/there')).status,
      status => status === 0 || init.exitCode !== null,
    )
    return root
  }

  /** What runs these words there. */
  command(...words: string[]): [string, ...string[]] {
    const enter = ['--target', String(this.#init.pid), '--mount', '--root', '--wdns=/']
    return ['nsenter', ...enter, 'env', `PATH=${PATH}`, ...words]
  }

  run(...words: string[]): Promise<Result> {
    const [program, ...rest] = this.command(...words)
    return run(program, rest, {env: {PATH, HOME: '/root'}})
  }

  async end(): Promise<void> {
    const over = once(this.#init, 'exit')
    this.#init.kill('SIGKILL')
    await over
    rmSync(this.#folder, {recursive: true, force: true})
  }
}
