import { SEND_STATUSES, type SendFilter } from '@cloudapi2/read-model'
import { z } from 'zod'
import { DEFAULT_PAGE, moment, paging, present, readQuery, word } from '../listing/list-parameters.ts'

export const Query = z.strictObject({
  status: z.enum(SEND_STATUSES, `expected one of ${SEND_STATUSES.join(', ')}`).optional(),
  chat_id: word.optional(),
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
export const sendFilter = (companyId: string, query: unknown): SendFilter => {
  const data = readQuery(Query, query)
  return {
    companyId,
    limit: data.limit ?? DEFAULT_PAGE,
    ...present({
      status: data.status,
      chatId: data.chat_id,
      phoneNumberId: data.phone_number_id,
      since: data.since,
      until: data.until,
      after: data.cursor,
    }),
  }
}
