import {spawnSync} from 'node:child_process'

const TABLE = 'os_ssh_wall'

/** What keeps this namespace's packets, the service's and the users', from gates: outside of OpenStack, which knows nothing of it. */
export class Wall {
  /** Port 22 of these addresses, or prefixes, takes nothing. */
  static block(...to: string[]): Wall {
    return new Wall(`type filter hook output priority 0; ip daddr { ${to.join(', ')} } tcp dport 22 drop;`)
  }

  /** Somebody else answers at port 22 of these addresses, or prefixes. */
  static divert(to: readonly string[], stranger: string): Wall {
    const these = `ip daddr { ${to.join(', ')} } ip daddr != ${stranger}`
    return new Wall(`type nat hook output priority -100; ${these} tcp dport 22 dnat ip to ${stranger};`)
  }

  private constructor(chain: string) {
    nft(`table inet ${TABLE} { chain out { ${chain} }; }`)
  }

  /** All gets through again. */
  open(): void {
    nft(`delete table inet ${TABLE}`)
  }
}

function nft(script: string): void {
  const {status, stderr} = spawnSync('nft', ['-f', '-'], {input: script, encoding: 'utf8'})
  if (status !== 0) throw new Error(`nft: ${stderr}`)
}
