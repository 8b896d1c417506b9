import type {AcceptConnection, Client, ClientChannel, RejectConnection, TcpConnectionDetails} from 'ssh2'

import {OsSshError} from '../../errors.ts'

const LOOPBACK = '127.0.0.1'

/** A port of the gate's loopback whose connections come to us. */
export interface Forwarding {
  readonly port: number
  /** Takes no more of them; those that there are go on. */
  close(): void
}

type Take = (channel: ClientChannel) => void

/**
 * Asks the sshd at the other end for a free port of its loopback. RFC 4254, 7.1
 *
 * @throws OsSshError GATE_DOWN
 */
export function forwardLoopback(client: Client, onChannel: Take): Promise<Forwarding> {
  return new Promise((resolve, reject) => {
    const refused = (cause?: Error) => {
      client.off('close', lost)
      const reason = cause?.message ?? 'the management connection was lost'
      reject(new OsSshError('GATE_DOWN', `the gate forwards no port: ${reason}`, {cause}))
    }
    const lost = () => refused()
    client.once('close', lost)
    try {
      client.forwardIn(LOOPBACK, 0, (error, port) => {
        if (error !== undefined) return refused(error)
        client.off('close', lost)
        resolve(forwarding(client, port, onChannel))
      })
    } catch (error) {
      // It has ended since it was handed over.
      refused(error as Error)
    }
  })
}

function forwarding(client: Client, port: number, onChannel: Take): Forwarding {
  let open = true
  const arrived = (
    {destPort}: TcpConnectionDetails,
    accept: AcceptConnection<ClientChannel>,
    reject: RejectConnection,
  ) => {
    if (destPort !== port) return
    if (open) onChannel(accept())
    else reject()
  }
  client.on('tcp connection', arrived)
  return {
    port,
    close() {
      if (!open) return
      open = false
      try {
        // Until it answers, somebody must say no to what comes.
        client.unforwardIn(LOOPBACK, port, () => client.off('tcp connection', arrived))
      } catch {
        // The connection has ended, and the port with it.
      }
    },
  }
}
