import {findSettings} from './clouds-files.ts'
import type {CloudConfig} from './config.ts'
import {normalized} from './settings.ts'

export interface LoadOptions {
  /** A cloud of clouds.yaml; wins over OS_CLOUD. */
  readonly cloud?: string
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
}

/**
 * Reads the cloud that was chosen: by `cloud`, OS_CLOUD, the OS_* variables when OS_AUTH_URL is among them, or the only
 * one of clouds.yaml. A missing password is no fault here: it may be asked for, or a kept token may do.
 *
 * @throws OpenStackError `no-cloud`: none was chosen, or there is none of that name (lists those there are); `config`: a
 *   malformed file (names file and line), settings that contradict each other
 */
export async function loadCloud({
  cloud,
  env = process.env,
  cwd = process.cwd(),
}: LoadOptions): Promise<CloudConfig> {
  return normalized(await findSettings({cloud, env, cwd}), env)
}
