import {declareValuePlugin, PluginKind} from '@stryker-mutator/api/plugin'

/** Words for people: their tests would be copies of them. */
const WORDS = new Set(['hint', 'help'])
const LOGGING = new Set(['trace', 'debug', 'info', 'warn', 'error', 'fatal'])

/** @param path babel's path of a node @returns why nothing below it is mutated; undefined when it is */
function shouldIgnore(path) {
  const {node, parent} = path
  if (path.isObjectProperty() && WORDS.has(node.key.name)) return 'a hint is for people'
  if (
    path.isCallExpression() &&
    LOGGING.has(node.callee.property?.name) &&
    /log/i.test(nameOf(node.callee.object))
  )
    return 'a line of the log is for people'
  if (path.parentPath?.isNewExpression() && /Error$/.test(parent.callee.name ?? ''))
    if (isWords(node))
      // Of ours the first is the code, and the last what it carries.
      return 'the message of an error is for people'
  return undefined
}

const nameOf = object => object?.name ?? object?.property?.name ?? object?.property?.id?.name ?? ''
/** A code has no space. */
const isWords = node =>
  node.type === 'TemplateLiteral' || (node.type === 'StringLiteral' && node.value.includes(' '))

export const strykerPlugins = [declareValuePlugin(PluginKind.Ignore, 'noise', {shouldIgnore})]
