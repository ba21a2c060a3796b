import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { authorise, type CallSubject, meetFault, record, refuse, withholdAnswer } from './graph-answer.ts'
import {
  type GraphRefusal,
  pairLimitReached,
  somethingWentWrong,
  throughputReached,
  unsupportedRequest,
  windowClosed,
} from './graph-refusal.ts'
import { GRAPH_VERSION_PATH } from './graph-version.ts'
import { isObject, textOf } from './json.ts'
import { checkReadReceipt, checkSend, isReadReceipt, type SendRequest } from './message-body.ts'
import { outboundMessageId } from './meta-ids.ts'
import type { Simulation } from './simulation.ts'
import type { PhoneNumber, Tenant } from './tenants.ts'
import { refusalOfAttempt, type StatusStep, statusesToCome, suffixOf } from './test-recipient.ts'
import { type SentMessage, statusBody } from './webhook-body.ts'

/** An answer that waits for a status webhook (suffix 0008) waits no longer than this for a tenant that does not answer. */
const STATUS_FIRST_MAX_MS = 5_000

/** Why the message is not accepted, after its body was found right. Counts the attempt. */
const refusalOf = (simulation: Simulation, phone: PhoneNumber, send: SendRequest): GraphRefusal | undefined => {
  const { limits, attempts, clock } = simulation
  const { recipient, callbackData } = send
  const broken = limits.brokenBy(phone.id, recipient.id, clock())
  if (broken === 'throughput') return throughputReached()
  if (broken === 'pair') return pairLimitReached()
  const suffix = suffixOf(recipient)
  if (suffix === '0002') return windowClosed()
  if (suffix !== '0003' && suffix !== '0005') return undefined
  const nth = attempts.next(`${phone.id}:${recipient.id}:${callbackData ?? ''}`)
  const refused = refusalOfAttempt(suffix, nth, callbackData !== undefined)
  if (refused === undefined) return undefined
  return refused === 'throttled' ? throughputReached() : somethingWentWrong()
}

/** Sends the statuses of an accepted message, each at its time. */
const scheduleStatuses = (
  { delivery }: Simulation,
  phone: PhoneNumber,
  companyId: string,
  message: SentMessage,
  steps: readonly StatusStep[],
): void => {
  for (const step of steps)
    for (let copy = 0; copy < step.copies; copy += 1)
      delivery.sendLater(companyId, step.afterMs, (tenant) => statusBody(tenant, phone, message, step))
}

const waitAtMost = (simulation: Simulation, ms: number, fact: Promise<unknown>): Promise<unknown> =>
  new Promise((resolve) => {
    const cancel = simulation.timers.after(ms, () => resolve(undefined))
    void fact.then((value) => {
      cancel()
      resolve(value)
    })
  })

const accept = async (
  simulation: Simulation,
  tenant: Tenant,
  phone: PhoneNumber,
  send: SendRequest,
  majorVersion: number,
): Promise<SentMessage> => {
  const { limits, clock, random, settings, delivery } = simulation
  const { recipient } = send
  limits.countSent(phone.id, recipient.id, clock())
  const messageId = outboundMessageId(recipient.id, random)
  const message: SentMessage = { ...send, messageId, acceptedAtMs: clock(), majorVersion }
  const suffix = suffixOf(recipient)
  const steps = statusesToCome(suffix, send.type, settings.timing)
  const [first, ...later] = steps
  if (suffix !== '0008' || !first) {
    scheduleStatuses(simulation, phone, tenant.company_id, message, steps)
    return message
  }
  const told = delivery.send(tenant.company_id, statusBody(tenant, phone, message, first))
  await waitAtMost(simulation, STATUS_FIRST_MAX_MS, told)
  scheduleStatuses(simulation, phone, tenant.company_id, message, later)
  return message
}

const acceptedBody = ({ recipient: { kind, input, id }, messageId, type }: SentMessage) => ({
  messaging_product: 'whatsapp',
  contacts: [{ input, ...(kind === 'phone' ? { wa_id: id } : kind === 'user' ? { user_id: id } : {}) }],
  messages: [
    {
      id: messageId,
      ...(kind === 'group' ? { group_id: id } : {}),
      ...(type === 'template' ? { message_status: 'accepted' } : {}),
    },
  ],
})

const subjectOf = (phoneNumberId: string, companyId: string | undefined, body: unknown): CallSubject => {
  const fields = isObject(body) ? body : {}
  return {
    type: isReadReceipt(body) ? 'read' : (textOf(fields.type) ?? 'text'),
    phone_number_id: phoneNumberId,
    company_id: companyId ?? null,
    to: textOf(fields.to) ?? textOf(fields.recipient) ?? null,
    callback_data: textOf(fields.biz_opaque_callback_data) ?? null,
  }
}

/** `POST /v{N}.{M}/{phone-number-id}/messages`: sends, and read receipts. */
export const messagesRoutes = (app: FastifyInstance, simulation: Simulation): void => {
  const { directory } = simulation

  const handle = async (request: FastifyRequest, reply: FastifyReply) => {
    const { version, id } = request.params as { version: string; id: string }
    const { body } = request
    const number = directory.byPhoneNumber(id)
    const subject = subjectOf(id, number?.tenant.company_id, body)
    const answerRefusal = (refusal: GraphRefusal) => refuse(simulation, request, reply, subject, refusal)

    const authorised = authorise(simulation, request)
    if ('refusal' in authorised) return answerRefusal(authorised.refusal)
    if (!number || !authorised.tenants.has(number.tenant)) return answerRefusal(unsupportedRequest(request.method, id))
    const { tenant, phone } = number

    const fault = await meetFault(simulation, request, reply, subject)
    if (fault.kind === 'ended') return reply

    if (isReadReceipt(body)) {
      const refusal = checkReadReceipt(body)
      if (refusal) return answerRefusal(refusal)
      record(simulation, request, subject, { outcome: 'answered', status: fault.kind === 'go' ? 200 : null })
      return fault.kind === 'go' ? reply.send({ success: true }) : fault.end()
    }

    const checked = checkSend(body, tenant.templates)
    if ('refusal' in checked) return answerRefusal(checked.refusal)
    const refusal = refusalOf(simulation, phone, checked.send)
    if (refusal) return answerRefusal(refusal)

    const isWithheld = suffixOf(checked.send.recipient) === '0004'
    const majorVersion = Number.parseInt(version.slice(1), 10)
    const message = await accept(simulation, tenant, phone, checked.send, majorVersion)
    record(
      simulation,
      request,
      { ...subject, type: checked.send.type, message_id: message.messageId },
      { outcome: 'accepted', status: isWithheld || fault.kind !== 'go' ? null : 200 },
    )
    if (isWithheld) return withholdAnswer(simulation, request, reply)
    return fault.kind === 'go' ? reply.send(acceptedBody(message)) : fault.end()
  }

  app.post(`/${GRAPH_VERSION_PATH}/:id/messages`, handle)
}
