import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Call, Outcome } from './call-log.ts'
import { graphFault } from './faults.ts'
import {
  expiredToken,
  type GraphRefusal,
  malformedToken,
  serviceUnavailable,
  somethingWentWrong,
} from './graph-refusal.ts'
import type { Simulation } from './simulation.ts'
import type { Tenant } from './tenants.ts'

/** What a call is about, as far as it is known when it ends. */
export type CallSubject = Partial<
  Pick<Call, 'company_id' | 'phone_number_id' | 'to' | 'callback_data' | 'message_id'>
> & { type: string }

const tokenOf = (request: FastifyRequest): string | undefined => {
  const header = /^(?:Bearer|OAuth)\s+(\S+)$/i.exec(request.headers.authorization ?? '')?.[1]
  // Graph takes the token as a parameter too; it never gets into the list of calls, which keeps no query.
  return header ?? (request.query as { access_token?: string }).access_token
}

/** The tenants that the token of a request opens, or what Meta answers to a token that opens none. */
export const authorise = (
  { directory }: Simulation,
  request: FastifyRequest,
): { tenants: ReadonlySet<Tenant> } | { refusal: GraphRefusal } => {
  const token = tokenOf(request)
  const tenants = token === undefined ? undefined : directory.byToken(token)
  if (tenants) return { tenants }
  return { refusal: token !== undefined && directory.wasToken(token) ? expiredToken() : malformedToken() }
}

/** Writes a finished call into the list. */
export const record = (
  { calls, clock, log }: Simulation,
  request: FastifyRequest,
  subject: CallSubject,
  result: { outcome: Outcome; status: number | null; code?: number },
): void => {
  const call: Call = {
    at: new Date(clock()).toISOString(),
    method: request.method,
    path: request.url.split('?')[0] ?? request.url,
    company_id: subject.company_id ?? null,
    phone_number_id: subject.phone_number_id ?? null,
    to: subject.to ?? null,
    callback_data: subject.callback_data ?? null,
    type: subject.type,
    outcome: result.outcome,
    status: result.status,
    code: result.code ?? null,
    message_id: subject.message_id ?? null,
  }
  calls.add(call)
  const { company_id, phone_number_id, type, outcome, status, code, message_id } = call
  log.debug({ event: 'graph.called', company_id, phone_number_id, type, outcome, status, code, message_id })
}

const outcomeOf = ({ httpStatus, error }: GraphRefusal): Outcome => {
  if (error.code === 190) return 'unauthorised'
  if ([130429, 131056, 80007].includes(error.code)) return 'throttled'
  return httpStatus >= 500 ? 'server_error' : 'refused'
}

/** Answers with an error of the Graph API and records the call. */
export const refuse = (
  simulation: Simulation,
  request: FastifyRequest,
  reply: FastifyReply,
  subject: CallSubject,
  refusal: GraphRefusal,
): FastifyReply => {
  const { httpStatus, error } = refusal
  record(simulation, request, subject, { outcome: outcomeOf(refusal), status: httpStatus, code: error.code })
  return reply
    .code(httpStatus)
    .header('www-authenticate', `OAuth "Facebook Platform" "invalid_request" "${error.type}"`)
    .send({ error: { ...error, fbtrace_id: `A${simulation.random.hex(22).toLowerCase()}` } })
}

/** Breaks the connection as a network would: with RST where the socket is a real one. */
const breakConnection = ({ raw: { socket } }: FastifyRequest): void => {
  if (typeof socket.resetAndDestroy === 'function') socket.resetAndDestroy()
  else socket.destroy()
}

/** Never answers: holds the connection for `hold_ms`, then breaks it, unless the caller goes first. */
export const withholdAnswer = (
  { timers, settings }: Simulation,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply => {
  reply.hijack()
  const cancel = timers.after(settings.timing.hold_ms, () => breakConnection(request))
  request.raw.socket.once('close', cancel)
  return reply
}

const pause = ({ timers }: Simulation, ms: number): Promise<void> =>
  ms === 0 ? Promise.resolve() : new Promise((resolve) => void timers.after(ms, resolve))

/**
 * Throws the dice for one call before it is worked.
 *
 * @returns `go` when the call is to be worked and answered; `work-then-break` when it has its effect but the caller never
 *   learns (call `end` then); `ended` when it is over
 */
export const meetFault = async (
  simulation: Simulation,
  request: FastifyRequest,
  reply: FastifyReply,
  subject: CallSubject,
): Promise<{ kind: 'go' } | { kind: 'work-then-break'; end: () => FastifyReply } | { kind: 'ended' }> => {
  const { settings, random } = simulation
  const { delayMs, breaks, isDone } = graphFault(settings.faults, random)
  await pause(simulation, delayMs)
  if (breaks === undefined) return { kind: 'go' }
  if (breaks === '5xx') {
    refuse(simulation, request, reply, subject, random.next() < 0.5 ? somethingWentWrong() : serviceUnavailable())
    return { kind: 'ended' }
  }
  const end = () => {
    if (breaks === 'timeout') return withholdAnswer(simulation, request, reply)
    reply.hijack()
    breakConnection(request)
    return reply
  }
  if (isDone) return { kind: 'work-then-break', end }
  record(simulation, request, subject, { outcome: 'lost', status: null })
  end()
  return { kind: 'ended' }
}
