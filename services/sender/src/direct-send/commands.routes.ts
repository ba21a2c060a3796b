import { isCompanyId } from '@cloudapi2/contracts'
import { type Caller, Problem } from '@cloudapi2/service-kit'
import type { FastifyInstance } from 'fastify'
import type { Admit } from '../access/access.routes.ts'
import type { Ledger } from '../send-command/ledger.store.ts'
import type { LedgerEntry } from '../send-command/ledger-entry.ts'
import { outcomeOf } from '../send-command/outcome-of.ts'
import { attemptsOf } from '../send-command/send-command.ts'
import { invalidRequest } from './answers.ts'

export interface CommandsDeps {
  admit: Admit
  ledger: Pick<Ledger, 'find' | 'findOfAnyCompany'>
}

/** `GET /commands/:id`: how a command stands, as long as the ledger remembers it. */
export const commandsRoutes = (app: FastifyInstance, { admit, ledger }: CommandsDeps): void => {
  app.get<{ Params: { id: string }; Querystring: { company_id?: string } }>('/commands/:id', async (request) => {
    const caller = admit(request)
    const companyId = companyOf(caller, request.query.company_id)
    const { id } = request.params
    const entry = await (companyId === undefined
      ? ledger.findOfAnyCompany(id)
      : ledger.find(companyId, id).then((held) => held?.entry)
    ).catch((cause: unknown) => {
      throw new Problem({
        status: 503,
        code: 'LEDGER_UNAVAILABLE',
        title: 'The ledger of commands cannot be reached',
        headers: { 'retry-after': '5' },
        cause,
      })
    })
    // What another company calls by this name does not exist for this one.
    if (entry === undefined)
      throw new Problem({ status: 404, code: 'UNKNOWN_COMMAND', title: 'There is no such command' })
    return standing(entry)
  })
}

const companyOf = (caller: Caller, asked: unknown): string | undefined => {
  if (caller.kind === 'company') return caller.companyId
  if (asked === undefined || isCompanyId(asked)) return asked
  throw invalidRequest([{ path: 'company_id', message: 'expected a lower-case UUID' }])
}

const standing = (entry: LedgerEntry) => {
  const { state, command_id, company_id, phone_number_id } = entry
  return {
    // An unknown outcome is shown as what it is.
    ...(state.status === 'uncertain' || state.status === 'parked'
      ? { status: state.status, command_id, error: state.error }
      : outcomeOf(command_id, state)),
    company_id,
    ...(phone_number_id === undefined ? {} : { phone_number_id }),
    attempts: attemptsOf(state),
    ...(state.status === 'none' ? {} : { since: state.at }),
    ...(state.status === 'refused' ? { retry_at: state.retryAt, error: state.error } : {}),
  }
}
