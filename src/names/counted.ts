/** How many of what: `1 node`, `2 nodes`. @param what a noun with a plural in s */
export const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`
