import { invalidFields, isCompanyId, NO_COMPANY } from '@cloudapi2/contracts'
import {
  type DeadLetter,
  DeadLetterNotRedrivable,
  type DeadLetters,
  DeadLettersUnavailable,
  DeadLetterUncertain,
  letterSummary,
  letterWhole,
  type Publisher,
  PublishFailed,
  redriveDeadLetter,
} from '@cloudapi2/nats'
import { type Caller, companyOf, type Logger, Problem, traceparentFrom } from '@cloudapi2/service-kit'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { Admit } from '../access/access.routes.ts'
import { invalidRequest } from '../direct-send/answers.ts'

export interface DeadLettersDeps {
  admit: Admit
  deadLetters: DeadLetters
  publisher: Pick<Publisher, 'publish'>
  log: Logger
  now: () => number
}

export const Query = z.strictObject({
  company_id: z
    .string()
    .refine((id) => id === NO_COMPANY || isCompanyId(id), 'expected a lower-case UUID, or _ for those of no company')
    .optional(),
  service: z
    .string()
    .regex(/^[a-z0-9_-]{1,64}$/, 'expected the name of a service, such as sender')
    .optional(),
  code: z.string().max(200).optional(),
  command_id: z.string().max(128).optional(),
  since: z.iso.datetime({ offset: true }).optional(),
  until: z.iso.datetime({ offset: true }).optional(),
  order: z.enum(['oldest', 'newest']).default('newest'),
  cursor: z.coerce.number().int().positive().optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
})

export const RedriveBody = z.strictObject({ force: z.boolean().default(false) })

const IdOf = z.coerce.number().int().positive().max(Number.MAX_SAFE_INTEGER)

/**
 * What was given up, for the operator of all companies and for a company's own software: list, look, give back, discard.
 * A list shows no content.
 */
export const deadLettersRoutes = (app: FastifyInstance, deps: DeadLettersDeps): void => {
  const { admit, deadLetters, publisher, log, now } = deps

  app.get('/dead-letters', async (request) => {
    const caller = admit(request)
    const { company_id, service, code, command_id, since, until, order, cursor, limit } = parse(Query, request.query)
    const page = await answering(() =>
      deadLetters.page({
        companyId: companyOf(caller, company_id),
        service,
        code,
        commandId: command_id,
        since: since === undefined ? undefined : new Date(since),
        until: until === undefined ? undefined : new Date(until),
        order,
        cursor,
        limit,
      }),
    )
    return {
      dead_letters: page.letters.map(letterSummary),
      next_cursor: page.next === undefined ? null : String(page.next),
    }
  })

  app.get('/dead-letters/:id', async (request) => letterWhole(await letterOf(request, admit(request))))

  app.post('/dead-letters/:id/redrive', async (request, reply) => {
    const caller = admit(request)
    const { force } = parse(RedriveBody, request.body ?? {})
    const letter = await letterOf(request, caller)
    const traceparent = traceparentFrom(request.headers.traceparent as string | undefined)
    const { commandId } = await answering(() =>
      redriveDeadLetter({ letters: deadLetters, publisher }, letter, { force, now: now(), traceparent }),
    )
    log.info({ event: 'dead_letter.redriven', ...about(letter, caller), force })
    return reply
      .code(202)
      .header('location', `/commands/${encodeURIComponent(commandId)}`)
      .send({ status: 'queued', command_id: commandId, dead_letter_id: letter.id })
  })

  app.delete('/dead-letters/:id', async (request, reply) => {
    const caller = admit(request)
    const letter = await letterOf(request, caller)
    if (!(await answering(() => deadLetters.remove(letter.id)))) throw notFound()
    log.info({ event: 'dead_letter.discarded', ...about(letter, caller) })
    return reply.code(204).send()
  })

  const letterOf = async (request: FastifyRequest, caller: Caller): Promise<DeadLetter> => {
    const id = IdOf.safeParse((request.params as { id: string }).id)
    const letter = id.success ? await answering(() => deadLetters.get(id.data)) : undefined
    // What belongs to another company does not exist for this one.
    if (letter === undefined || (caller.kind === 'company' && letter.company_id !== caller.companyId)) throw notFound()
    return letter
  }
}

const about = (letter: DeadLetter, caller: Caller) => ({
  dead_letter: letter.id,
  company_id: letter.company_id,
  command_id: letter.command_id,
  code: letter.code,
  by: caller.kind === 'admin' ? 'admin' : `key:${caller.keyId}`,
})

const parse = <S extends z.ZodType>(schema: S, value: unknown): z.infer<S> => {
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw invalidRequest(invalidFields(parsed.error))
  return parsed.data
}

const notFound = () =>
  new Problem({ status: 404, code: 'DEAD_LETTER_NOT_FOUND', title: 'There is no such dead letter' })

const answering = <T>(task: () => Promise<T>): Promise<T> =>
  task().catch((cause: unknown) => {
    if (cause instanceof DeadLetterNotRedrivable)
      throw new Problem({
        status: 409,
        code: cause.code,
        title: 'The dead letter cannot be redriven',
        detail: cause.message,
      })
    if (cause instanceof DeadLetterUncertain)
      throw new Problem({
        status: 409,
        code: cause.code,
        title: 'The message may have been delivered',
        detail: 'Look for it at the recipient first. With {"force": true} it is sent all the same, perhaps twice.',
      })
    if (cause instanceof DeadLettersUnavailable || cause instanceof PublishFailed)
      throw new Problem({
        status: 503,
        code: 'DEAD_LETTERS_UNAVAILABLE',
        title: 'The dead letters cannot be read or changed now',
        detail: 'Repeat it: a redrive of the same dead letter is the same redrive.',
        headers: { 'retry-after': '5' },
        cause,
      })
    throw cause
  })
