import type { MessageQueries } from '@cloudapi2/read-model'
import { type Logger, Problem } from '@cloudapi2/service-kit'
import type { FastifyInstance } from 'fastify'
import { type AccessDeps, admitReader } from '../access/access.routes.ts'
import { messageFilter } from './message-filter.ts'

export interface MessagesDeps extends AccessDeps {
  queries: Pick<MessageQueries, 'list' | 'get'>
  log: Logger
}

/** The read API of a company's messages. */
export const messagesRoutes = (app: FastifyInstance, deps: MessagesDeps): void => {
  const onRequest = admitReader(deps)

  /** The database may be away; that is no fault of the request. */
  const answered = async <T>(companyId: string, question: () => Promise<T>): Promise<T> => {
    const startedAt = performance.now()
    let outcome = 'ok'
    try {
      return await question()
    } catch (error) {
      outcome = 'unavailable'
      throw new Problem({
        status: 503,
        code: 'DATABASE_UNAVAILABLE',
        title: 'The messages cannot be read just now',
        headers: { 'retry-after': '2' },
        cause: error,
      })
    } finally {
      const durationMs = Math.round(performance.now() - startedAt)
      deps.log[outcome === 'ok' ? 'debug' : 'error']({
        event: 'messages.read',
        company_id: companyId,
        outcome,
        duration_ms: durationMs,
      })
    }
  }

  app.get<{ Params: { company_id: string } }>(
    '/companies/:company_id/messages',
    { onRequest },
    async ({ params, query }) => {
      const filter = messageFilter(params.company_id, query)
      const { messages, nextCursor } = await answered(params.company_id, () => deps.queries.list(filter))
      return { messages, next_cursor: nextCursor ?? null }
    },
  )

  app.get<{ Params: { company_id: string; id: string } }>(
    '/companies/:company_id/messages/:id',
    { onRequest },
    async ({ params }) => {
      const message = await answered(params.company_id, () => deps.queries.get(params.company_id, params.id))
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
