import type { SendQueries } from '@cloudapi2/read-model'
import { type AccessDeps, admitReader } from '@cloudapi2/service-kit'
import type { FastifyInstance } from 'fastify'
import type { Answered } from '../listing/answered.client.ts'
import { sendFilter } from './send-filter.ts'

export interface SendsDeps extends AccessDeps {
  sends: SendQueries
  answered: Answered
}

/** What became of a company's commands, those included that never became a message. */
export const sendsRoutes = (app: FastifyInstance, deps: SendsDeps): void => {
  app.get<{ Params: { company_id: string } }>(
    '/companies/:company_id/sends',
    { onRequest: admitReader(deps) },
    async ({ params, query }) => {
      const filter = sendFilter(params.company_id, query)
      const { sends, nextCursor } = await deps.answered('sends.read', params.company_id, () => deps.sends.list(filter))
      return { sends, next_cursor: nextCursor ?? null }
    },
  )
}
