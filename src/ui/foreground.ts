import {spawnSync} from 'node:child_process'
import {readFileSync} from 'node:fs'

/** Whether this process belongs to the foreground job of its terminal (tcgetpgrp(3)); false without one. */
export function inForeground(): boolean {
  if (process.platform === 'win32') return false
  const [group, foreground] = jobs()
  return group !== undefined && group > 0 && group === foreground
}

/** This process's group, and the group that its terminal listens to; -1 or 0 where there is no terminal. */
function jobs(): (number | undefined)[] {
  if (process.platform === 'linux') {
    // proc_pid_stat(5): the name in parentheses may hold anything; then state, ppid, pgrp, session, tty_nr, tpgid.
    const fields = readFileSync('/proc/self/stat', 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
    return [Number(fields[2]), Number(fields[5])]
  }
  const {stdout} = spawnSync('ps', ['-o', 'pgid=,tpgid=', '-p', String(process.pid)], {encoding: 'utf8'})
  return (stdout ?? '').trim().split(/\s+/).map(Number)
}
