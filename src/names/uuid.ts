const UUID = /^[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}$/

/** Whether a text is a UUID, with dashes or (Keystone's way) without. */
export const isUuid = (text: string) => UUID.test(text)
