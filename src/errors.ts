/**
 * Every fault a user can meet, in one place: a stable code, the exit status, the HTTP status where the
 * service answers with it, and what to do next.
 *
 * A *fault* is the user's or their cloud's to mend and is thrown as `OsSshError`; anything else that is thrown is
 * a bug of ours and ends with exit status 70. Exit statuses follow sysexits(3), see README, "Exit codes".
 */
export const catalogue = {
  // 64: what the user typed, or a file or variable of theirs
  USAGE: {exit: 64, http: 400, hint: 'see `os-ssh help`'},
  CLOUDS_YAML: {
    exit: 64,
    http: 500,
    hint: 'mend the file; the format is described in the openstacksdk documentation',
  },
  CONFIG: {exit: 64, http: 500, hint: 'mend what is named above and try again'},
  NO_CLOUD: {
    exit: 64,
    http: 500,
    hint: 'name a cloud of clouds.yaml by --os-cloud or OS_CLOUD, or set OS_AUTH_URL and its companions',
  },
  // 65, 66: what was named
  AMBIGUOUS: {exit: 65, http: 409, hint: 'use the UUID, or more of it'},
  NOT_FOUND: {exit: 66, http: 404, hint: 'list what you may see: os-ssh list'},
  // 69: somebody else is not there
  SERVICE_DOWN: {
    exit: 69,
    http: 503,
    hint: 'is the SSH service running? OS_SSH_ENDPOINT overrides the catalog',
  },
  CLOUD_DOWN: {exit: 69, http: 502, hint: 'the cloud did not answer; try again, or ask its operator'},
  LOCAL_TOOL: {exit: 69, http: 500, hint: 'install the OpenSSH client: apt-get install openssh-client'},
  NO_KEYCHAIN: {
    exit: 69,
    http: 500,
    hint: 'choose: --keychain file (encrypted with a passphrase) or --keychain agent (forgotten at logout); OS_SSH_KEYCHAIN keeps the choice',
  },
  MOVED: {
    exit: 69,
    http: 409,
    hint: 'ask them where their service answers, and set OS_SSH_ENDPOINT; os-ssh service export there and import here takes it back',
  },
  // 70: ours
  BUG: {exit: 70, http: 500, hint: 'please report it with what you typed'},
  // 73: this machine keeps nothing
  LOCAL_FILE: {
    exit: 73,
    http: 500,
    hint: 'os-ssh writes below HOME and XDG_RUNTIME_DIR; both must be writable and not full',
  },
  // 75: worth another try
  BUSY: {exit: 75, http: 503, hint: 'try again in a moment'},
  NO_GATE: {exit: 75, http: 503, hint: 'no gate can take this path now; ask the operator of the SSH service'},
  GATE_DOWN: {exit: 75, http: 503, hint: 'the gate does not answer; the service goes on trying'},
  GATE_FULL: {
    exit: 75,
    http: 503,
    hint: 'the gates are full; revoke paths you no longer need: os-ssh paths list',
  },
  RATE_LIMITED: {
    exit: 75,
    http: 429,
    hint: 'try again a little later, or end paths you no longer need: os-ssh paths list',
  },
  NIC_MISSING: {exit: 75, http: 503, hint: 'the network interface did not appear in the gate; try again'},
  QUOTA: {
    exit: 75,
    http: 409,
    hint: 'the port quota of the project is used up; ask for more or delete ports',
  },
  CLOUD_REFUSED: {exit: 75, http: 502, hint: "read the cloud's own message above"},
  VM_OFF: {exit: 75, http: 409, hint: 'start it: openstack server start VM'},
  VM_NO_ADDRESS: {exit: 75, http: 409, hint: 'give it an interface: openstack server add network VM NETWORK'},
  VM_UNREACHABLE: {
    exit: 75,
    http: 503,
    hint: 'is sshd running in the VM, and does a security group admit TCP port 22?',
  },
  // 76: trust
  HOST_KEY: {
    exit: 76,
    http: 502,
    hint: 'if you know why it changed, forget the old key: os-ssh hostkeys VM --forget',
  },
  // 77, 78: who you are
  DENIED: {exit: 77, http: 403, hint: 'this needs the member role in the project of the VM'},
  NOT_LOGGED_IN: {exit: 78, http: 401, hint: 'log in: os-ssh login'},
} as const satisfies Record<string, {exit: number; http: number; hint: string}>

export type ErrorCode = keyof typeof catalogue

/** A fault with a stable code, one sentence, and a hint. `oclif` prints `code` and `suggestions` by itself. */
export class OsSshError extends Error {
  readonly code: ErrorCode
  readonly suggestions: string[]
  /** When another try makes sense, s from now. */
  readonly retryAfter: number | undefined

  /** @param options.hint replaces the catalogue's when the place of the fault knows better */
  constructor(
    code: ErrorCode,
    message: string,
    {hint, cause, retryAfter}: {hint?: string; cause?: unknown; retryAfter?: number} = {},
  ) {
    super(message, cause === undefined ? undefined : {cause})
    this.name = 'OsSshError'
    this.code = code
    this.retryAfter = retryAfter
    this.suggestions = [hint ?? catalogue[code].hint]
  }

  /** Exit status of the process that ends with this fault. */
  get exit(): number {
    return catalogue[this.code].exit
  }

  /** Status of the service's answer that carries this fault. */
  get http(): number {
    return catalogue[this.code].http
  }
}
