/* A script that the service renders for a gate, with lines of it taken away: what they are good for is what happens without. */

/** Where a text may be: documents inside the script, by a line that only they have, and stretches of the script itself. */
const DOCUMENT = /(?<=<<'END'[^\n]*\n).*?(?=\nEND\n)/gs
const PARTS = {
  guard: [DOCUMENT, 'set paths4 '],
  namespace: [DOCUMENT, 'chain spoofed {'],
  neighbours: [DOCUMENT, 'table arp os_ssh {'],
  sshd: [DOCUMENT, 'Match Group '],
  principals: [DOCUMENT, ' restrict,port-forwarding'],
  attachment: [/^\(\n {2}set -e\n.*?^\)$/gms, ''],
  settings: [/^# Nothing is forwarded here.*?^done$/gms, ''],
  script: [/^.*$/gs, ''],
} as const satisfies Record<string, readonly [RegExp, string]>
export type Part = keyof typeof PARTS

/**
 * The script without these texts, each as in `guard/incoming: drop`, where the chain is named too, or `sshd: MaxSessions 0`; after
 * ` => ` what comes in its place. A text that is a whole line is that line.
 *
 * @throws Error when the text is not there exactly once wherever such a part is, or no such part is there
 */
export function without(script: string, texts: readonly string[]): string {
  return texts.reduce(lacking, script)
}

/** What a part says, as `without` would take it away: its rules and settings, but neither comments nor what merely makes room for them. */
export function statements(script: string, part: Part): string[] {
  const [stretch, mark] = PARTS[part]
  const body = [...script.matchAll(stretch)].map(([text]) => text).find(text => text.includes(mark)) ?? ''
  let chain = ''
  return body.split('\n').flatMap(line => {
    const text = line.trim()
    chain = /^chain (\w+) \{$/.exec(text)?.[1] ?? chain
    const nothing = /^$|^#|^\}$|^(delete )?table |^(chain|set|map) \w+ \{|policy accept;$|^Match /.test(text)
    return nothing ? [] : [chain ? `${part}/${chain}: ${text}` : `${part}: ${text}`]
  })
}

function lacking(script: string, words: string): string {
  const [, part, chain, text = '', instead = ''] = /^(\w+)(?:\/(\w+))?: (.*?)(?: => (.*))?$/.exec(words) ?? []
  if (part === undefined || !(part in PARTS)) throw new Error(`there is no such part: ${words}`)
  const [stretch, mark] = PARTS[part as Part]
  let found = 0
  const edited = script.replaceAll(stretch, body => {
    if (!body.includes(mark)) return body
    found++
    return chain === undefined ? cut(body, text, instead) : inChain(body, chain, text, instead)
  })
  if (found === 0) throw new Error(`the script has no such part: ${words}`)
  return edited
}

function inChain(body: string, chain: string, text: string, instead: string): string {
  const head = `\n  chain ${chain} {\n`
  const [before, rest] = halves(body, head)
  const end = rest.indexOf('\n  }\n')
  return before + head + cut(rest.slice(0, end), text, instead) + rest.slice(end)
}

function cut(body: string, text: string, instead: string): string {
  const lines = body.split('\n')
  const [at, ...more] = lines.flatMap((line, n) => (line.trim() === text ? [n] : []))
  if (at !== undefined && more.length === 0) return lines.toSpliced(at, 1, instead).join('\n')
  return halves(body, text).join(instead)
}

/** What is before and after the only place of a text. */
function halves(body: string, text: string): [string, string] {
  const [before = '', after, ...more] = body.split(text)
  if (after === undefined || more.length > 0)
    throw new Error(`not there exactly once: ${JSON.stringify(text)}`)
  return [before, after]
}
