import { DIRECTIONS } from '@cloudapi2/contracts'
import type { MessageFilter } from '@cloudapi2/read-model'
import { z } from 'zod'
import { DEFAULT_PAGE, moment, paging, present, readQuery, word } from '../listing/list-parameters.ts'

export const Query = z.strictObject({
  chat_id: word.optional(),
  status: word.optional(),
  direction: z.enum(DIRECTIONS, `expected one of ${DIRECTIONS.join(', ')}`).optional(),
  from_me: z
    .enum(['true', 'false'], 'expected true or false')
    .transform((text) => text === 'true')
    .optional(),
  phone_number_id: word.optional(),
  since: moment.optional(),
  until: moment.optional(),
  ...paging,
})

/**
 * What a query string asks for.
 *
 * @throws Problem 400 INVALID_REQUEST naming every parameter that is wrong or unknown
 */
export const messageFilter = (companyId: string, query: unknown): MessageFilter => {
  const data = readQuery(Query, query)
  return {
    companyId,
    limit: data.limit ?? DEFAULT_PAGE,
    ...present({
      chatId: data.chat_id,
      status: data.status,
      direction: data.direction,
      fromMe: data.from_me,
      phoneNumberId: data.phone_number_id,
      since: data.since,
      until: data.until,
      after: data.cursor,
    }),
  }
}
