export type Settings = Readonly<Record<string, unknown>>

/** A plain mapping, neither null nor a list. */
export function isRecord(value: unknown): value is Settings {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * `over` laid on `base`, mappings within mappings too; everything else, lists included, is replaced
 * (openstacksdk's `_util.merge_clouds`, by which secure.yaml is laid over clouds.yaml).
 */
export function deepMerge(base: Settings, over: Settings): Settings {
  const merged = new Map(Object.entries(base))
  for (const [key, value] of Object.entries(over)) {
    const old = merged.get(key)
    merged.set(key, isRecord(value) && isRecord(old) ? deepMerge(old, value) : value)
  }
  // fromEntries defines properties instead of assigning them, so that a key `__proto__` stays a key.
  return Object.fromEntries(merged)
}

/** `over` laid on `base`; only `auth` is merged key by key (openstacksdk's `_auth_update`, for profiles and regions). */
export function authMerge(base: Settings, over: Settings): Settings {
  const auth = {...record(base['auth']), ...record(over['auth'])}
  return Object.fromEntries([...Object.entries(base), ...Object.entries(over), ['auth', auth]])
}

/** The value when it is a mapping, else an empty one. */
export function record(value: unknown): Settings {
  return isRecord(value) ? value : {}
}
