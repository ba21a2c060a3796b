import { GatewayError, type InvalidField, type OutboundMessage } from '@cloudapi2/contracts'
import {
  buildMessage,
  checkRawTemplate,
  type GraphClient,
  isReadReceipt,
  TemplateDataMismatch,
  type TemplateDefinition,
  TemplateDefinitionNeeded,
  validateMessage,
  writeCallbackData,
} from '@cloudapi2/whatsapp'
import type { Channel, SendResult, TemplateKnowledge } from './channel.ts'
import {
  concernOf,
  invalidMessage,
  isFromInBetween,
  retryOf,
  sendErrorOf,
  unknownError,
  unreachableError,
} from './whatsapp-errors.ts'
import { summaryOfBody } from './whatsapp-summary.ts'
import {
  definitionNeeded,
  doubtsTemplate,
  fetchedTemplate,
  mismatch,
  refusalByStatus,
  templateOfMessage,
  templateOfWebhook,
  unknownTemplate,
} from './whatsapp-template.ts'

/** The channel's definitions are plain JSON to everybody else; what is handed back here was made here. */
const definitionOf = (template: TemplateKnowledge): TemplateDefinition | undefined =>
  template.kind === 'found' ? (template.definition as unknown as TemplateDefinition) : undefined

/** A template's definition could not be asked for: not the message's fault, and no reason not to send it. */
class TemplateNotFetched extends GatewayError {
  constructor(reason: string) {
    super(`the template could not be fetched: ${reason}`, { code: 'TEMPLATE_NOT_FETCHED', retryable: true })
  }
}

type Body = Record<string, unknown>

/** A recipient is a person here: a group's id is none, and a person's would be taken for a group's. */
const TO_GROUP: InvalidField = {
  path: 'recipient_type',
  message: 'expected individual or nothing: messages to groups are not supported',
}

/** Of a raw body, by path from the command. */
const faultsOfRaw = (body: Body): InvalidField[] =>
  [...validateMessage(body), ...(body.recipient_type === 'group' ? [TO_GROUP] : [])].map(({ path, message }) => ({
    path: `message.body.${path}`,
    message,
  }))

const isReceipt = (message: OutboundMessage): boolean => message.type === 'raw' && isReadReceipt(message.body)

/** WhatsApp, as the sender sees every channel. */
export const whatsappChannel = (graph: GraphClient): Channel => ({
  name: 'whatsapp',
  isHarmlessTwice: isReceipt,

  prepare: ({ message, recipient, callbackId, cover, template }) => {
    const written = message.type === 'raw' ? faultsOfRaw(message.body) : []
    if (written.length > 0) return { ok: false, error: invalidMessage(written) }
    const wanted = templateOfMessage(message)
    if (template.kind === 'missing' && wanted !== undefined)
      return { ok: false, error: unknownTemplate(wanted, template.languages) }
    const definition = definitionOf(template)
    const stopped = definition === undefined ? undefined : refusalByStatus(definition)
    if (stopped !== undefined) return { ok: false, error: stopped }
    const own = message.type === 'raw' ? message.body.biz_opaque_callback_data : undefined
    try {
      const body = buildMessage(message, {
        to: recipient,
        callbackData: writeCallbackData(callbackId, typeof own === 'string' ? own : undefined),
        ...(cover === undefined ? {} : { cover }),
        ...(definition === undefined ? {} : { template: definition }),
      })
      if (message.type === 'raw' && definition !== undefined) checkRawTemplate(definition, body.template)
      // What was filled in may be too long in its place, however short the form was.
      const built = message.type === 'raw' ? [] : validateMessage(body)
      if (built.length > 0) return { ok: false, error: invalidMessage(built) }
      return { ok: true, message: { body, summary: summaryOfBody(body) } }
    } catch (error) {
      if (error instanceof TemplateDefinitionNeeded) return { ok: false, error: definitionNeeded(error) }
      if (!(error instanceof TemplateDataMismatch)) throw error
      const place = message.type === 'raw' ? 'message.body.template' : 'template_data'
      return { ok: false, error: mismatch(error, place) }
    }
  },

  send: async ({ phoneNumberId, token }, body): Promise<SendResult> => {
    const result = await graph.sendMessage({ phoneNumberId, token, body })
    switch (result.kind) {
      case 'accepted': {
        const { wa_id, user_id } = result.contact
        const contact = {
          ...(wa_id === undefined ? {} : { phone: wa_id.replace(/\D/g, '') }),
          ...(user_id === undefined ? {} : { user_id }),
        }
        return { kind: 'accepted', receipt: { messageId: result.messageId, contact, response: result.response } }
      }
      case 'marked':
        return {
          kind: 'accepted',
          receipt: {
            messageId: String(body.message_id),
            read: { isTyping: (body.typing_indicator ?? undefined) !== undefined },
            response: result.response,
          },
        }
      case 'refused':
        if (isFromInBetween(result.error))
          return { kind: 'unknown', error: unknownError({ code: `HTTP_${result.httpStatus}` }) }
        return {
          kind: 'refused',
          error: sendErrorOf(result.error),
          retry: retryOf(result.error),
          concerns: concernOf(result.error),
          ...(doubtsTemplate(result.error.code) ? { doubtsTemplate: true as const } : {}),
          ...(result.retryAfterMs === undefined ? {} : { retryAfterMs: result.retryAfterMs }),
        }
      case 'unknown':
        return { kind: 'unknown', error: unknownError(result.cause) }
      case 'unreachable':
        return { kind: 'unreachable', error: unreachableError(result.cause) }
    }
  },

  templateOf: templateOfMessage,

  fetchTemplates: async ({ businessId, token, name }) => {
    const result = await graph.getTemplates({ wabaId: businessId, token, name })
    switch (result.kind) {
      case 'found':
        return result.templates.map(fetchedTemplate)
      case 'refused':
        throw new TemplateNotFetched(`refused with ${result.error.code}`)
      case 'unknown':
      case 'unreachable':
        throw new TemplateNotFetched(`${result.kind}: ${result.cause.code}`)
    }
  },

  changedTemplate: templateOfWebhook,
})
