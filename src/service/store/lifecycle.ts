/*
 * What may become of a path, an attachment and a gate. A row's `state` changes by these steps only, each of which is one
 * function of this folder; docs/architecture.md draws them, and a test holds both against what the database sees.
 */

/** Before there is a row, and after it was deleted. */
export const NONE = 'none'

interface Step {
  readonly from: readonly string[]
  readonly to: string
}

export const lifecycle = {
  path: {
    /** A right that was checked. */
    request: {from: [NONE], to: 'requested'},
    /** It gets gate, alias and account. */
    place: {from: ['requested'], to: 'pending'},
    /** Over before it had any. */
    withdraw: {from: ['requested'], to: 'released'},
    /** The VM has answered the gate. */
    activate: {from: ['pending'], to: 'active'},
    /** Its time is over, or somebody revoked it. */
    end: {from: ['pending', 'active'], to: 'ended'},
    /** It cannot be made, or its VM is gone; the row says why. */
    fail: {from: ['pending', 'active'], to: 'failed'},
    /** The gate has confirmed that nothing of it lives any more; alias and account rest. */
    cut: {from: ['ended', 'failed'], to: 'cut'},
    /** Alias and account are anybody's again. */
    release: {from: ['cut'], to: 'released'},
    /** Nobody asks for it any more. */
    prune: {from: ['released'], to: NONE},
  },
  attachment: {
    /** A path needs a network that its gate is not plugged into. */
    want: {from: [NONE], to: 'wanted'},
    /** Nova has attached the port. */
    plug: {from: ['wanted'], to: 'plugged'},
    /** The gate has its namespace. */
    ready: {from: ['plugged'], to: 'ready'},
    /** Somebody has plugged out or deleted the port. */
    lose: {from: ['plugged', 'ready'], to: 'wanted'},
    /** The gate forgets it first, then Nova detaches and Neutron deletes the port. */
    retire: {from: ['wanted', 'plugged', 'ready'], to: 'removing'},
    /** Nothing of it is left. */
    remove: {from: ['removing'], to: NONE},
  },
  gate: {
    add: {from: [NONE], to: 'new'},
    /** It took its whole state. */
    up: {from: ['new', 'down'], to: 'ready'},
    /** It could not be reached or configured; its row says why. */
    down: {from: ['new', 'ready'], to: 'down'},
    remove: {from: ['new', 'ready', 'down'], to: NONE},
  },
  machine: {
    /** An operator, or a path, needs a gate more. */
    want: {from: [NONE], to: 'wanted'},
    /** Nova has its server. */
    boot: {from: ['wanted'], to: 'booting'},
    /** It has answered with a key of its own: from now on it is a gate. */
    run: {from: ['booting'], to: 'running'},
    /** It could not be made, or did not answer in time; its row says why. */
    fail: {from: ['wanted', 'booting'], to: 'failed'},
    /** Nobody needs it any more, or it is replaced. */
    retire: {from: ['wanted', 'booting', 'running'], to: 'deleting'},
    /** Nothing of it is left in the cloud. */
    remove: {from: ['deleting'], to: NONE},
    /** Nobody asks any more why. */
    forget: {from: ['failed'], to: NONE},
  },
} as const satisfies Record<string, Record<string, Step>>

type Reached<Steps extends Record<string, Step>> = Exclude<Steps[keyof Steps]['to'], typeof NONE>

export type PathPhase = Reached<typeof lifecycle.path>
export type AttachmentState = Reached<typeof lifecycle.attachment>
export type GateState = Reached<typeof lifecycle.gate>
export type MachineState = Reached<typeof lifecycle.machine>

/** States in which a path is somebody's. */
export const LIVE = ['requested', 'pending', 'active'] as const satisfies readonly PathPhase[]
/** Over, and not yet confirmed by the gate. */
export const UNCUT = lifecycle.path.cut.from
export const isUncut = ({state}: {readonly state: PathPhase}) =>
  (UNCUT as readonly PathPhase[]).includes(state)
