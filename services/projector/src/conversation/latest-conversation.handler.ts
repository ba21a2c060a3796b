import { subjects } from '@cloudapi2/contracts'
import type { Nats } from '@cloudapi2/nats'
import type { MessageQueries } from '@cloudapi2/read-model'
import { askedContact } from './asked-contact.ts'

/**
 * Answers `{phone}` with `{company_id, phone_number_id}` of the latest conversation, or `{}` when there was none. When
 * the database is away there is no answer: it is not the same as no conversation.
 *
 * @returns how to stop
 */
export const answerLatestConversation = (
  nats: Pick<Nats, 'respond'>,
  queries: Pick<MessageQueries, 'latestConversation'>,
): (() => void) =>
  nats.respond(subjects.latestConversation, 'projector', async ({ data, respond }) => {
    const contact = askedContact(data)
    const found = contact === undefined ? undefined : await queries.latestConversation(contact)
    respond(JSON.stringify(found ?? {}))
  })
