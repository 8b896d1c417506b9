import {declareValuePlugin, PluginKind} from '@stryker-mutator/api/plugin'

/* What is not mutated, with the reason; docs/tests.md has it in words. */

const WORDS = new Set(['hint', 'help', 'when'])
const LEVELS = new Set(['trace', 'debug', 'info', 'warn', 'error', 'fatal'])

const nameOf = node => node?.name ?? node?.property?.name ?? node?.property?.id?.name ?? ''
const isLog = ({callee}) => LEVELS.has(callee.property?.name) && /log/i.test(nameOf(callee.object))
/** Of an error of ours the first argument is its code, which has no space. */
const isWords = node =>
  node.type === 'TemplateLiteral' || (node.type === 'StringLiteral' && node.value.includes(' '))
const isEmpty = node =>
  (node.type === 'StringLiteral' && node.value === '') ||
  (node.type === 'ArrayExpression' && node.elements.length === 0)

/** @param path babel's path of a node @returns why nothing in it is mutated; undefined when something is */
function shouldIgnore(path) {
  const {node, parent} = path
  if (path.isObjectProperty() && WORDS.has(nameOf(node.key))) return 'a hint or an explanation is for people'
  if (path.isCallExpression() && isLog(node)) return 'a line of the log is for people'
  if (parent?.type === 'NewExpression' && /Error$/.test(nameOf(parent.callee)) && isWords(node))
    return 'the words of an error are for people'
  if (
    parent?.type === 'LogicalExpression' &&
    parent.operator === '??' &&
    parent.right === node &&
    isEmpty(node)
  )
    return 'nothing in place of nothing: another would not be found either'
  return undefined
}

export const strykerPlugins = [declareValuePlugin(PluginKind.Ignore, 'noise', {shouldIgnore})]
