import { isCompanyId, subjects } from '@cloudapi2/contracts'
import type { Nats } from '@cloudapi2/nats'
import { z } from 'zod'
import type { Wanted } from './resolve-sender.ts'

/** The company and number that a contact spoke with last; both undefined when there was no conversation. */
export type FindConversation = (chatId: string) => Promise<Wanted>

const Answer = z.looseObject({
  company_id: z.string().refine(isCompanyId).optional(),
  phone_number_id: z.string().optional(),
})

/** Asks the projector. Throws NatsRequestFailed when it does not answer: that is not the same as no conversation. */
export const conversationClient =
  (nats: Nats, { timeoutMs }: { timeoutMs: number }): FindConversation =>
  async (chatId) => {
    const answer = await nats.request(subjects.latestConversation, JSON.stringify({ phone: chatId }), timeoutMs)
    const { company_id, phone_number_id } = Answer.parse(JSON.parse(new TextDecoder().decode(answer)))
    return { companyId: company_id, phoneNumberId: phone_number_id }
  }
