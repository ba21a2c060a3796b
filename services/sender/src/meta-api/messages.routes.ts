import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { CommandId, InvalidCommand, parseSendCommand, type SendCommand } from '@cloudapi2/contracts'
import type { Caller } from '@cloudapi2/service-kit'
import type { Tenant } from '@cloudapi2/tenants'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Admit } from '../access/access.routes.ts'
import { replayed } from '../direct-send/answers.ts'
import type { SubmitCommand, Submitted } from '../direct-send/submit-command.handler.ts'
import { parseRecipient } from '../recipient/recipient.ts'
import type { Ledger } from '../send-command/ledger.store.ts'
import { refusals } from '../send-command/refusals.ts'
import { companyOfNumber, type Directory, tokenOf } from './caller-company.ts'
import type { Passage } from './graph-passage.client.ts'
import { acceptedAnswer, queuedAnswer } from './message-answer.ts'
import { parseMessageRequest } from './message-request.ts'
import { metaErrorOf, metaErrors } from './meta-error.ts'
import { passOn } from './passage.routes.ts'
import { VERSION_PATH, type Visit } from './visit.ts'

export interface MessagesDeps {
  admit: Admit
  tenants: Directory
  submit: SubmitCommand
  ledger: Pick<Ledger, 'find'>
  passage: Passage
  isConnected: () => boolean
  /** How long a caller waits for Meta's answer. */
  metaWaitMs: number
  now: () => number
}

/**
 * `POST /v{N}.{M}/:phone_number_id/messages`: Meta's own request becomes a command like any other, and its outcome Meta's
 * own answer. Paced by the number; calls are not counted.
 */
export const messagesRoutes = (
  scope: FastifyInstance,
  deps: MessagesDeps,
  visitOf: (request: FastifyRequest) => Visit,
): void => {
  const { admit, tenants, submit, ledger, passage, isConnected, metaWaitMs, now } = deps

  scope.post<{ Params: { version: string; id: string } }>(`${VERSION_PATH}/:id/messages`, async (request, reply) => {
    const { line, traceparent } = visitOf(request)
    const { version, id: phoneNumberId } = request.params
    const caller = admit(request)
    const tenant = companyOfNumber(caller, phoneNumberId, tenants)
    if (tenant === undefined) throw metaErrors.noSuchObject('POST', phoneNumberId)
    Object.assign(line, { company_id: tenant.companyId, phone_number_id: phoneNumberId })

    const asked = parseMessageRequest(request.body)
    // Nobody receives it, it is late after seconds, and a repeat does nothing: it needs no queue and no ledger.
    if (asked.kind === 'receipt') {
      line.outcome = 'passed'
      const bytes = Buffer.from(JSON.stringify(asked.body))
      return passOn(passage, reply, {
        method: 'POST',
        path: `${version}/${phoneNumberId}/messages`,
        query: new URLSearchParams(),
        token: tokenOf(tenant),
        headers: { 'content-type': 'application/json', 'content-length': String(bytes.length) },
        body: Readable.from([bytes]),
      })
    }
    const key = idempotencyKey(request)
    const command = commandOf(asked, { id: key ?? randomUUID(), tenant, phoneNumberId, caller, now: now() })
    line.command_id = command.id
    if (!isConnected()) throw metaErrors.unavailable('The command could not be stored: send it again.')

    const submitted = await submit(command, { waitMs: metaWaitMs, traceparent }).catch((cause: unknown) => {
      throw notStored(key, command.id, cause)
    })
    const { outcome, isReplayed } = endOf(submitted, command.id)
    line.outcome = outcome.status
    reply.headers(replayed(isReplayed))
    if (outcome.status === 'failed') throw metaErrorOf(outcome.error, command.id)

    const contact = contactOf(asked.input, tenant)
    if (outcome.status === 'queued') {
      reply.code(202).header('location', `/commands/${encodeURIComponent(command.id)}`)
      return queuedAnswer(command.id, contact, asked.input)
    }
    line.message_id = outcome.message_id
    const response = await responseOf(ledger, command)
    return acceptedAnswer({ response, messageId: outcome.message_id, contact }, asked.input)
  })
}

const idempotencyKey = ({ headers }: FastifyRequest): string | undefined => {
  const key = headers['idempotency-key']
  if (key === undefined || CommandId.safeParse(key).success) return key as string | undefined
  throw metaErrors.invalidValue('Idempotency-Key', 'expected 1 to 128 printable ASCII characters without spaces')
}

const commandOf = (
  asked: { input: string; body: Record<string, unknown> },
  about: { id: string; tenant: Tenant; phoneNumberId: string; caller: Caller; now: number },
): SendCommand & { company_id: string } => {
  const { id, tenant, phoneNumberId, caller, now } = about
  try {
    const command = parseSendCommand({
      id,
      channel: 'whatsapp',
      phone_number_id: phoneNumberId,
      to: asked.input,
      message: { type: 'raw', body: asked.body },
      requested_at: new Date(now).toISOString(),
      requested_by: caller.kind === 'admin' ? 'admin' : `key:${caller.keyId}`,
    })
    return { ...command, company_id: tenant.companyId }
  } catch (error) {
    if (!(error instanceof InvalidCommand)) throw error
    const { path, message } = error.fields[0] as (typeof error.fields)[number]
    throw metaErrors.invalidValue(path, message)
  }
}

/**
 * Nobody knows whether the command was stored. Under a key of the caller's a repeat is the same command; without one it
 * would be another message.
 */
const notStored = (key: string | undefined, commandId: string, cause: unknown) =>
  key === undefined
    ? metaErrors.uncertain(
        'It is not known whether the message was taken: look for it before sending it again.',
        { gateway_code: 'COMMAND_NOT_ACCEPTED', command_id: commandId },
        cause,
      )
    : metaErrors.unavailable('The command could not be stored: send it again under the same Idempotency-Key.', cause)

const endOf = (submitted: Submitted, commandId: string) => {
  if (submitted.kind === 'reused') throw metaErrorOf(refusals.idempotencyKeyReused, commandId)
  return submitted
}

const contactOf = (input: string, { defaultCountry }: Tenant): { wa_id?: string; user_id?: string } => {
  const recipient = parseRecipient(input, defaultCountry)
  if (recipient === undefined) return {}
  return 'phone' in recipient ? { wa_id: recipient.phone } : { user_id: recipient.user_id }
}

/** What Meta answered: the outcome has the id alone, the ledger all of it. */
const responseOf = async (
  ledger: Pick<Ledger, 'find'>,
  { company_id, id }: { company_id: string; id: string },
): Promise<unknown> => {
  // The message is on its way: an answer without Meta's extras is better than none.
  const held = await ledger.find(company_id, id).catch(() => undefined)
  const state = held?.entry.state
  return state?.status === 'accepted' ? state.receipt.response : undefined
}
