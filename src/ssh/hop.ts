import {run} from '../system/process.ts'

/** The way to a VM's sshd: an ssh_config with the gate's hop, and the alias that the gate opens. */
export interface Hop {
  /** File that holds the gate's Host. */
  readonly config: string
  /** Name of that Host. */
  readonly gate: string
  readonly alias: string
  readonly port: number
}

/** Arguments of the ssh that carries bytes to the VM's sshd. bin/proxy says the same. */
export const hopArguments = ({config, gate, alias, port}: Hop): string[] => [
  '-F',
  config,
  '-W',
  `[${alias}]:${port}`,
  gate,
]

/** Ends the connection to a path's gate that is kept open for the next session, if there is one. */
export async function closeHop({config, gate}: Pick<Hop, 'config' | 'gate'>): Promise<void> {
  await run('ssh', ['-F', config, '-O', 'exit', gate])
}
