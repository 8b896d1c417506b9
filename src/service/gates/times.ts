/** sshd's LoginGraceTime, s; a path's account rests longer than this before somebody else gets it. */
export const LOGIN_GRACE = 30
/** An account and an alias rest this long after the kill; longer than a login may take, ms. */
export const QUARANTINE_MS = (LOGIN_GRACE + 5) * 1000
