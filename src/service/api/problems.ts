import type {FastifyError, FastifyReply, FastifyRequest} from 'fastify'

import {OsSshError} from '../../errors.ts'
import type {Problem} from '../../protocol/index.ts'
import {diskFault} from '../store/disk.ts'

/** A fault as an RFC 9457 problem document. */
export function problem(fault: OsSshError, requestId?: string): Problem {
  return {
    type: `https://os-ssh.invalid/problems/${fault.code.toLowerCase().replaceAll('_', '-')}`,
    title: fault.code,
    status: fault.http,
    code: fault.code,
    detail: fault.message,
    ...(fault.suggestions[0] === undefined ? {} : {hint: fault.suggestions[0]}),
    ...(requestId === undefined ? {} : {request_id: requestId}),
  }
}

function asFault(error: FastifyError | Error): OsSshError {
  if (error instanceof OsSshError) return error
  const status = (error as FastifyError).statusCode
  if (status === 413 || status === 415 || status === 400) return new OsSshError('USAGE', error.message)
  const disk = diskFault(error)
  if (disk !== undefined) return disk
  // Never the message of a bug: it may quote what is not the caller's to see.
  return new OsSshError('BUG', 'the service made a mistake; its log has the details under this request id', {
    cause: error,
  })
}

/** Fastify's error handler: faults are answered, bugs are also logged. */
export function answerProblem(
  error: FastifyError | Error,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const fault = asFault(error)
  if (fault.code === 'BUG') request.log.error({err: error}, 'bug')
  if (fault.code === 'LOCAL_FILE') request.log.error({err: error}, 'the disk keeps nothing')
  const body = problem(fault, request.id)
  if (body.status === 401) void reply.header('www-authenticate', 'Keystone')
  if (fault.retryAfter !== undefined) void reply.header('retry-after', fault.retryAfter)
  void reply.code(body.status).type('application/problem+json').send(body)
}
