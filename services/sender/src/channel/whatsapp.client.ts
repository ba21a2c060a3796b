import { GatewayError, type InvalidField, type OutboundMessage } from '@cloudapi2/contracts'
import {
  buildMessage,
  type GraphClient,
  isReadReceipt,
  TemplateDataMismatch,
  type TemplateLayout,
  validateMessage,
  writeCallbackData,
} from '@cloudapi2/whatsapp'
import type { Channel, SendResult, TemplateDefinition } from './channel.ts'
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

/** The channel's definitions are plain JSON to everybody else; what is handed back here was made here. */
const layoutOf = (definition: TemplateDefinition) => definition as unknown as TemplateLayout
const isLayout = (definition: TemplateDefinition): boolean => Array.isArray(definition.bodyParameters)

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
    const own = message.type === 'raw' ? message.body.biz_opaque_callback_data : undefined
    try {
      const body = buildMessage(message, {
        to: recipient,
        callbackData: writeCallbackData(callbackId, typeof own === 'string' ? own : undefined),
        ...(cover === undefined ? {} : { cover }),
        ...(template === undefined || !isLayout(template) ? {} : { template: layoutOf(template) }),
      })
      // What was filled in may be too long in its place, however short the form was.
      const built = message.type === 'raw' ? [] : validateMessage(body)
      if (built.length > 0) return { ok: false, error: invalidMessage(built) }
      return { ok: true, message: { body, summary: summaryOfBody(body) } }
    } catch (error) {
      if (!(error instanceof TemplateDataMismatch)) throw error
      return {
        ok: false,
        error: {
          code: error.code,
          title: 'The data does not fit the template',
          details: error.message,
          action: 'Give exactly the parameters of the template.',
          missing: error.missing,
          surplus: error.surplus,
          fault: 'request',
        },
      }
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
          ...(result.retryAfterMs === undefined ? {} : { retryAfterMs: result.retryAfterMs }),
        }
      case 'unknown':
        return { kind: 'unknown', error: unknownError(result.cause) }
      case 'unreachable':
        return { kind: 'unreachable', error: unreachableError(result.cause) }
    }
  },

  fetchTemplate: async ({ businessId, token, name, language }) => {
    const result = await graph.getTemplate({ wabaId: businessId, token, name, language })
    switch (result.kind) {
      case 'found':
        return { ...result.template }
      case 'missing':
        return undefined
      case 'refused':
        throw new TemplateNotFetched(`refused with ${result.error.code}`)
      case 'unknown':
      case 'unreachable':
        throw new TemplateNotFetched(`${result.kind}: ${result.cause.code}`)
    }
  },
})
