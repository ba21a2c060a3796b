import { randomUUID } from 'node:crypto'
import { CommandId, InvalidCommand, invalidFields, type SendCommand } from '@cloudapi2/contracts'
import { NatsRequestFailed } from '@cloudapi2/nats'
import { type Caller, companyOf, type Logger, Problem, traceparentFrom } from '@cloudapi2/service-kit'
import type { TenantDirectory } from '@cloudapi2/tenants'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Admit } from '../access/access.routes.ts'
import type { RateLimiter } from '../rate-limit/sliding-window.ts'
import { refusals } from '../send-command/refusals.ts'
import type { Found, SenderLookup } from '../tenant-resolution/sender-lookup.handler.ts'
import { invalidRequest, problemOf, replayed } from './answers.ts'
import { commandOf, DIRECT_BODIES, type DirectBody, type DirectRoute } from './bodies.ts'
import type { SubmitCommand } from './submit-command.handler.ts'

export interface DirectSendDeps {
  admit: Admit
  tenants: Pick<TenantDirectory, 'get'>
  lookup: SenderLookup
  limit: RateLimiter
  submit: SubmitCommand
  isConnected: () => boolean
  sendWaitMs: number
  log: Logger
  now: () => number
}

/** The three direct routes: each body becomes a command like any other service's, and may be waited for. */
export const directSendRoutes = (app: FastifyInstance, deps: DirectSendDeps): void => {
  for (const route of Object.keys(DIRECT_BODIES) as DirectRoute[]) {
    app.post(route, async (request, reply) => {
      const startedAt = deps.now()
      const line: Record<string, unknown> = { event: 'http.send', route }
      try {
        return await send(deps, route, request, reply, line)
      } catch (error) {
        if (error instanceof Problem)
          Object.assign(line, { status: error.status, code: error.code, ...(error.cause ? { err: error.cause } : {}) })
        else Object.assign(line, { status: 500, err: error })
        throw error
      } finally {
        deps.log.info({ status: reply.statusCode, ...line, duration_ms: Math.round(deps.now() - startedAt) })
      }
    })
  }
}

const send = async (
  deps: DirectSendDeps,
  route: DirectRoute,
  request: FastifyRequest,
  reply: FastifyReply,
  line: Record<string, unknown>,
) => {
  const caller = deps.admit(request)
  const body = parseBody(route, request.body)
  const companyId = companyOf(caller, body.company_id)
  line.company_id = companyId
  if (companyId !== undefined) takeCall(deps, route, companyId, reply)
  if (!deps.isConnected()) throw unavailable(undefined)

  const command = readCommand(body, request, caller, companyId, deps.now())
  line.command_id = command.id
  const found = await lookup(deps, command)
  if (found.kind === 'refused') throw problemOf(found.error, command.id)
  if (companyId === undefined) takeCall(deps, route, found.tenant.companyId, reply)
  line.company_id = found.tenant.companyId
  line.phone_number_id = found.phoneNumberId

  const isAsync = /(^|[\s,;])respond-async($|[\s,;])/i.test(String(request.headers.prefer ?? ''))
  const submitted = await deps
    .submit(
      { ...command, company_id: found.tenant.companyId },
      { waitMs: isAsync ? 0 : deps.sendWaitMs, traceparent: traceparentFrom(request.headers.traceparent as string) },
    )
    .catch((cause: unknown) => {
      throw unavailable(cause)
    })
  if (submitted.kind === 'reused') throw problemOf(refusals.idempotencyKeyReused, command.id)
  const { outcome, isReplayed } = submitted
  line.outcome = outcome.status
  if (outcome.status === 'failed') throw problemOf(outcome.error, command.id, isReplayed)
  reply.headers(replayed(isReplayed))
  if (outcome.status === 'accepted') {
    line.message_id = outcome.message_id
    return outcome
  }
  if (isAsync) reply.header('preference-applied', 'respond-async')
  return reply
    .code(202)
    .header('location', `/commands/${encodeURIComponent(command.id)}`)
    .send(outcome)
}

const parseBody = (route: DirectRoute, body: unknown): DirectBody => {
  const parsed = DIRECT_BODIES[route].safeParse(body)
  if (!parsed.success) throw invalidRequest(invalidFields(parsed.error))
  return parsed.data
}

const takeCall = (deps: DirectSendDeps, route: DirectRoute, companyId: string, reply: FastifyReply): void => {
  const tenant = deps.tenants.get(companyId)
  if (tenant === undefined) throw problemOf(refusals.unknownCompany, undefined)
  const { maxCalls, windowSeconds } = tenant.rateLimit
  const { allowed, remaining, resetSeconds } = deps.limit(`${companyId} ${route}`, tenant.rateLimit)
  const headers = {
    'ratelimit-limit': String(maxCalls),
    'ratelimit-remaining': String(remaining),
    'ratelimit-reset': String(resetSeconds),
  }
  reply.headers(headers)
  if (allowed) return
  throw new Problem({
    status: 429,
    code: 'RATE_LIMITED',
    title: 'Too many calls',
    detail: `The company may call this route ${maxCalls} times in ${windowSeconds} seconds.`,
    headers: { ...headers, 'retry-after': String(resetSeconds) },
  })
}

const readCommand = (
  body: DirectBody,
  { headers }: FastifyRequest,
  caller: Caller,
  companyId: string | undefined,
  now: number,
): SendCommand => {
  const key = headers['idempotency-key']
  if (key !== undefined && !CommandId.safeParse(key).success)
    throw invalidRequest([
      { path: 'Idempotency-Key', message: 'expected 1 to 128 printable ASCII characters without spaces' },
    ])
  if (key !== undefined && body.id !== undefined && key !== body.id)
    throw invalidRequest([{ path: 'id', message: 'expected the same as the header Idempotency-Key, or nothing' }])
  try {
    return commandOf(body, {
      id: (key as string | undefined) ?? body.id ?? randomUUID(),
      companyId,
      requestedAt: new Date(now).toISOString(),
      requestedBy: caller.kind === 'admin' ? 'admin' : `key:${caller.keyId}`,
    })
  } catch (error) {
    if (error instanceof InvalidCommand) throw invalidRequest(error.fields)
    throw error
  }
}

const lookup = (deps: DirectSendDeps, command: SendCommand): Promise<Found> =>
  deps.lookup(command).catch((cause: unknown) => {
    if (cause instanceof NatsRequestFailed) throw problemOf(refusals.conversationsAway, command.id)
    throw unavailable(cause)
  })

const unavailable = (cause: unknown): Problem =>
  new Problem({
    status: 503,
    code: 'COMMAND_NOT_ACCEPTED',
    title: 'The command could not be stored',
    detail: 'It was not accepted. Send it again with the same Idempotency-Key.',
    headers: { 'retry-after': '5' },
    cause,
  })
