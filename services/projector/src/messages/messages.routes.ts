import type { MessageQueries } from '@cloudapi2/read-model'
import { type AccessDeps, admitReader, Problem } from '@cloudapi2/service-kit'
import type { FastifyInstance } from 'fastify'
import type { Answered } from '../listing/answered.client.ts'
import { messageFilter } from './message-filter.ts'

export interface MessagesDeps extends AccessDeps {
  queries: Pick<MessageQueries, 'list' | 'get'>
  answered: Answered
}

/** The read API of a company's messages. */
export const messagesRoutes = (app: FastifyInstance, deps: MessagesDeps): void => {
  const onRequest = admitReader(deps)

  app.get<{ Params: { company_id: string } }>(
    '/companies/:company_id/messages',
    { onRequest },
    async ({ params, query }) => {
      const filter = messageFilter(params.company_id, query)
      const { messages, nextCursor } = await deps.answered('messages.read', params.company_id, () =>
        deps.queries.list(filter),
      )
      return { messages, next_cursor: nextCursor ?? null }
    },
  )

  app.get<{ Params: { company_id: string; id: string } }>(
    '/companies/:company_id/messages/:id',
    { onRequest },
    async ({ params }) => {
      const message = await deps.answered('messages.read', params.company_id, () =>
        deps.queries.get(params.company_id, params.id),
      )
      if (message !== undefined) return message
      throw new Problem({
        status: 404,
        code: 'UNKNOWN_MESSAGE',
        title: 'There is no such message',
        detail: 'Expected the id of a row, or the message id of the channel, URL-encoded.',
      })
    },
  )
}
