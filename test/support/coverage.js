/* What `npm run unit -- --coverage` ends with, as a report of istanbul's; which lines, file by file, is in coverage/. */

/** From so many lines a file is told of which no test runs any. */
const LARGE = 60

class Coverage {
  execute(context) {
    const untested = []
    const print = (name, {covered, total, pct}) =>
      total > 0 &&
      say(
        `${(name || 'all').padEnd(28)} ${String(Math.floor(pct)).padStart(3)} %  ${covered} of ${total} lines`,
      )
    context.getTree('pkg').visit({
      onSummary: node => print(node.getQualifiedName(), node.getCoverageSummary(!node.isRoot()).lines),
      onDetail(node) {
        const {covered, total} = node.getCoverageSummary().lines
        if (covered === 0 && total > LARGE) untested.push(node.getQualifiedName())
      },
    })
    for (const file of untested) say(`no test runs a line of ${file}`)
  }
}

const say = line => process.stdout.write(`${line}\n`)

// It is required, not imported.
export {Coverage as 'module.exports'}
