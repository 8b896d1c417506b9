/** Where and as whom to authenticate: one cloud of clouds.yaml, or the OS_* variables. */
export interface CloudConfig {
  /** Name in clouds.yaml, `envvars` when it came from OS_* alone (as openstacksdk calls it). */
  readonly name: string
}
export interface LoadOptions {
  readonly cloud?: string
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
}
/** @throws OpenStackError */
export function loadCloud(_options: LoadOptions): Promise<CloudConfig> {
  throw new Error('being written')
}
