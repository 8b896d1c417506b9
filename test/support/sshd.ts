import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdirSync} from 'node:fs'
import {type AddressInfo, createServer} from 'node:net'
import {userInfo} from 'node:os'

export interface Sshd {
  readonly port: number
  stop(): Promise<void>
}

/**
 * A real sshd on a free port of the loopback: one process a connection, as inetd has it. sshd itself takes no port of the kernel's
 * choice, and one that was free a moment ago may be somebody else's by now.
 *
 * @param config file, without `Port` and `ListenAddress`
 */
export async function startSshd(config: string): Promise<Sshd> {
  // What Debian's service unit makes; root's sshd refuses to start without it.
  if (userInfo().uid === 0) mkdirSync('/run/sshd', {recursive: true})
  const running = new Set<ReturnType<typeof spawn>>()
  const server = createServer({pauseOnConnect: true}, socket => {
    const sshd = spawn('/usr/sbin/sshd', ['-i', '-f', config], {stdio: [socket, socket, 'ignore']})
    running.add(sshd)
    sshd.once('exit', () => running.delete(sshd))
    // The process has its own by now.
    socket.destroy()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      server.close()
      const ends = [...running].map(sshd => once(sshd, 'exit'))
      for (const sshd of running) sshd.kill()
      await Promise.all(ends)
    },
  }
}
