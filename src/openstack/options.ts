import type {Token} from './types.ts'

export interface OpenStackOptions {
  /** A token from an earlier run; used until it expires. */
  readonly token?: Token
  /** Called with every new token, so that it can be kept. */
  readonly onToken?: (token: Token) => void
  /** Asks the user for the password when the configuration has none. @param again what was typed before was wrong */
  readonly password?: (again: boolean) => Promise<string>
  /** Asks the user for a one-time password when the cloud wants a second factor. */
  readonly passcode?: (again: boolean) => Promise<string>
  /** Per request, ms. Default: the configuration's, else 30,000. */
  readonly timeout?: number
  /** Delay before the first of three retries, ms; it doubles each time. Default 250. */
  readonly retryDelay?: number
}
