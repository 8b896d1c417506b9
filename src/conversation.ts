/* What a command and its user say to each other while it works. The terminal is ui's; who has something to ask says it so. */

/** Whose secret is asked for. */
export interface Whose {
  readonly user: string
  readonly cloud: string
  /** What was typed before was wrong. */
  readonly again: boolean
}

/** How to ask the user; all of these where there is a terminal, none elsewhere. */
export interface Questions {
  readonly password?: (whose: Whose) => Promise<string>
  readonly passcode?: (whose: Whose) => Promise<string>
  /** Passphrase of the file keychain, or of something else; of a new one when `first`. */
  readonly passphrase?: (first: boolean, of?: string) => Promise<string>
  /** A question whose answer is yes or no. */
  readonly confirm?: (question: string) => Promise<boolean>
}

export interface Conversation {
  readonly ask?: Questions
  /** Told what the user should know though nothing failed, one line each. */
  readonly say?: (line: string) => void
  /** Told what is being waited for, after a second of silence; where nobody sits there is none. */
  readonly progress?: (line: string) => void
}
