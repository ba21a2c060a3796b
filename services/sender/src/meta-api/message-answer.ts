/** Meta's answer to a message it took. */
export interface MessageAnswer {
  messaging_product: 'whatsapp'
  contacts: Record<string, unknown>[]
  messages: Record<string, unknown>[]
}

/** Before the id of a command in the place of a message id: the message has none yet. No message id begins so. */
export const COMMAND_PREFIX = 'command:'

const objectsOf = (value: unknown): Record<string, unknown>[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === 'object' && item !== null) : []

/**
 * What Meta answered, with the recipient as the caller wrote it: it went to Meta in international form.
 *
 * @param accepted.response Meta's own body; undefined when a status proved what no answer told
 */
export const acceptedAnswer = (
  accepted: { response: unknown; messageId: string; contact: { wa_id?: string; user_id?: string } },
  input: string,
): MessageAnswer => {
  const response = (typeof accepted.response === 'object' ? accepted.response : undefined) as
    | Record<string, unknown>
    | null
    | undefined
  const [contact, ...others] = objectsOf(response?.contacts)
  const messages = objectsOf(response?.messages)
  return {
    ...response,
    messaging_product: 'whatsapp',
    contacts: [{ ...(contact ?? accepted.contact), input }, ...others],
    messages: messages.length > 0 ? messages : [{ id: accepted.messageId }],
  }
}

/** It is stored and will be sent; what stands for the message id leads to `GET /commands/:id`. */
export const queuedAnswer = (
  commandId: string,
  contact: { wa_id?: string; user_id?: string },
  input: string,
): MessageAnswer => ({
  messaging_product: 'whatsapp',
  contacts: [{ input, ...contact }],
  messages: [{ id: `${COMMAND_PREFIX}${commandId}` }],
})
