import { Readable } from 'node:stream'
import type { Caller } from '@cloudapi2/service-kit'
import type { Tenant } from '@cloudapi2/tenants'
import { isMediaAddress } from '@cloudapi2/whatsapp'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Admit } from '../access/access.routes.ts'
import { companyOfAccount, companyOfNumber, type Directory, tokenOf } from './caller-company.ts'
import { type Passage, PassageFailed, type PassedAnswer } from './graph-passage.client.ts'
import { readLink } from './media-link.ts'
import { type MetaError, metaErrors } from './meta-error.ts'
import {
  headersBack,
  isNoSuchObject,
  passedMedia,
  passedPage,
  passedQuery,
  passedText,
  readMedia,
} from './passed-answer.ts'
import { VERSION_PATH, type Visit } from './visit.ts'

export interface PassageDeps {
  admit: Admit
  tenants: Directory
  passage: Passage
  /** Where Graph is asked; its files may be there as well. */
  graphBaseUrl: string
  now: () => number
}

/** Meta takes documents of 100 MB; the form around it is small. */
const UPLOAD_MAX_BYTES = 101 * 1024 * 1024
/** The longest page of templates has some hundred kilobytes. */
const ANSWER_MAX_BYTES = 16 * 1024 * 1024

type Route = { Params: { version: string; id: string }; Querystring: Record<string, unknown> }
type Request = FastifyRequest<Route>

/** With whose credentials a request is passed on. */
interface Way {
  tenant: Tenant
  token: string
}

/** Media and templates: passed on with the company's token and back again, nothing kept. */
export const passageRoutes = (
  scope: FastifyInstance,
  { admit, tenants, passage, graphBaseUrl, now }: PassageDeps,
  visitOf: (request: FastifyRequest) => Visit,
): void => {
  // The form goes through as it comes.
  scope.addContentTypeParser('multipart/form-data', (_request, payload, done) => done(null, payload))

  const wayOf = (tenant: Tenant | undefined, request: Request): Way => {
    if (tenant === undefined) throw metaErrors.noSuchObject(request.method, request.params.id)
    visitOf(request).line.company_id = tenant.companyId
    return { tenant, token: tokenOf(tenant) }
  }

  const call = (reply: FastifyReply, options: Asked) => callFor(passage, reply, options)

  scope.post<Route>(`${VERSION_PATH}/:id/media`, { bodyLimit: UPLOAD_MAX_BYTES }, async (request, reply) => {
    const { version, id } = request.params
    const { token } = wayOf(companyOfNumber(admit(request), id, tenants), request)
    visitOf(request).line.phone_number_id = id
    const { 'content-type': type, 'content-length': length } = request.headers
    if (!(request.body instanceof Readable))
      throw metaErrors.invalidParameter('The file must be sent as multipart/form-data.')
    if (length !== undefined && Number(length) > UPLOAD_MAX_BYTES) throw tooLarge()
    return passOn(passage, reply, {
      method: 'POST',
      path: `${version}/${id}/media`,
      query: passedQuery(searchOf(request)),
      token,
      headers: {
        'content-type': type as string,
        ...(length === undefined ? {} : { 'content-length': length }),
      },
      body: Readable.from(atMost(request.body, UPLOAD_MAX_BYTES, tooLarge)),
    })
  })

  scope.get<Route>(`${VERSION_PATH}/:id/message_templates`, async (request, reply) => {
    const { version, id } = request.params
    const { token } = wayOf(companyOfAccount(admit(request), id, tenants), request)
    const path = `${version}/${id}/message_templates`
    const answer = await call(reply, { method: 'GET', path, query: passedQuery(searchOf(request)), token })
    return sendText(reply, answer, passedPage(await textOf(answer), token, `${originOf(request)}/${path}`))
  })

  /**
   * Asks Graph for a file in the name of a number of the company: several companies may share a token, and the number
   * is what keeps their files apart. Without one in the query each of the company's is tried.
   */
  const lookUp = async (request: Request, reply: FastifyReply, caller: Caller) => {
    const { version, id } = request.params
    const asked = request.query.phone_number_id
    if (asked !== undefined && typeof asked !== 'string')
      throw metaErrors.invalidValue('phone_number_id', 'expected one number')
    const tenant = companyOfFile(caller, asked, tenants)
    const { token } = wayOf(tenant, request)
    // The id of a number or an account is no file, whatever Graph would tell about it.
    const isFileId = /^\d{1,64}$/.test(id) && !tenants.byPhoneNumberId(id) && !tenants.byBusinessId(id)
    if (!isFileId) throw metaErrors.noSuchObject(request.method, id)
    const numbers = asked === undefined ? (tenant as Tenant).phoneNumbers.map((number) => number.id) : [asked]
    for (const [index, number] of numbers.entries()) {
      const query = new URLSearchParams({ phone_number_id: number })
      const answer = await call(reply, { method: 'GET', path: `${version}/${id}`, query, token })
      const text = await textOf(answer)
      if (isNoSuchObject(answer.status, text) && index < numbers.length - 1) continue
      return { tenant: tenant as Tenant, token, query, answer, text }
    }
    throw metaErrors.noSuchObject(request.method, id)
  }

  scope.get<Route>(`${VERSION_PATH}/:id`, async (request, reply) => {
    const { version, id } = request.params
    const { tenant, token, answer, text } = await lookUp(request, reply, admit(request))
    if (answer.status !== 200) return sendText(reply, answer, passedText(text, token))
    const media = readMedia(text)
    if (media === undefined) throw metaErrors.noSuchObject('GET', id)
    // The token is not sent anywhere else, whoever says so.
    if (!isMediaAddress(media.url, graphBaseUrl))
      throw metaErrors.unavailable('Graph gave an address that is not its own.')
    const file = { companyId: tenant.companyId, mediaId: id }
    const here = `${originOf(request)}/${version}/${id}`
    return sendText(reply, answer, passedMedia(media, file, { here, token, now: now() }))
  })

  scope.delete<Route>(`${VERSION_PATH}/:id`, async (request, reply) => {
    const { version, id } = request.params
    // Graph deletes whatever the token may delete, a template as well as a file: it is looked up first.
    const { token, query, answer: found, text } = await lookUp(request, reply, admit(request))
    if (found.status !== 200) return sendText(reply, found, passedText(text, token))
    if (readMedia(text) === undefined) throw metaErrors.noSuchObject('DELETE', id)
    const answer = await call(reply, { method: 'DELETE', path: `${version}/${id}`, query, token })
    return sendText(reply, answer, passedText(await textOf(answer), token))
  })

  /** The link of a look-up. It opens for whoever has it, as long as it lives: some SDKs send no token with it. */
  // Not for HEAD: Meta's file server would send all of it for nothing.
  scope.get<Route>(`${VERSION_PATH}/:id/content`, { exposeHeadRoute: false }, async (request, reply) => {
    const { id } = request.params
    const caller = request.headers.authorization === undefined ? undefined : admit(request)
    const companyId = request.query.company_id
    const isAnothers = caller?.kind === 'company' && caller.companyId !== companyId
    const tenant = typeof companyId === 'string' && !isAnothers ? tenants.get(companyId) : undefined
    const { token } = wayOf(tenant, request)
    const url = readLink(id, request.query, token, now())
    if (url === undefined || !isMediaAddress(url, graphBaseUrl)) throw metaErrors.noSuchObject('GET', id)
    const { range } = request.headers
    const answer = await passage
      .download({
        url,
        token,
        ...(range === undefined ? {} : { headers: { range } }),
        signal: goneSignal(reply),
      })
      .catch((error: unknown) => {
        throw unanswered(error)
      })
    if (answer.status >= 300 && answer.status < 400) {
      // Whatever is cut off complains, and nobody else listens.
      answer.body.on('error', () => {}).destroy()
      throw metaErrors.unavailable('The file is not where Graph said.')
    }
    return reply
      .code(answer.status)
      .headers({ ...headersBack(answer.headers), 'cache-control': 'private', 'x-content-type-options': 'nosniff' })
      .send(answer.body)
  })
}

type Asked = Omit<Parameters<Passage['call']>[0], 'signal'>

/** Asks Graph for as long as the caller waits. @throws MetaError when no answer comes */
const callFor = (passage: Passage, reply: FastifyReply, asked: Asked): Promise<PassedAnswer> =>
  passage.call({ ...asked, signal: goneSignal(reply) }).catch((error: unknown) => {
    throw unanswered(error)
  })

/** Asks Graph and answers what it says. */
export const passOn = async (passage: Passage, reply: FastifyReply, asked: Asked): Promise<FastifyReply> => {
  const answer = await callFor(passage, reply, asked)
  return sendText(reply, answer, passedText(await textOf(answer), asked.token))
}

/** A file is the company's that looks for it; the operator has none, and says whose by the number. */
const companyOfFile = (caller: Caller, phoneNumberId: string | undefined, tenants: Directory): Tenant | undefined => {
  if (phoneNumberId !== undefined) return companyOfNumber(caller, phoneNumberId, tenants)
  if (caller.kind === 'company') return tenants.get(caller.companyId)
  throw metaErrors.missingParameter('phone_number_id')
}

const searchOf = ({ url }: FastifyRequest): string => {
  const at = url.indexOf('?')
  return at < 0 ? '' : url.slice(at)
}

/** Our own address, as the caller wrote it. Whoever lies about it is answered with a link to nowhere. */
const originOf = ({ headers, protocol, host }: FastifyRequest): string => {
  const first = (name: string): string | undefined =>
    String(headers[name] ?? '')
      .split(',')[0]
      ?.trim() || undefined
  return `${first('x-forwarded-proto') ?? protocol}://${first('x-forwarded-host') ?? host}`
}

/** Aborts when the caller has gone. */
const goneSignal = ({ raw }: FastifyReply): AbortSignal => {
  const gone = new AbortController()
  raw.once('close', () => {
    if (!raw.writableFinished) gone.abort(new Error('the caller has gone'))
  })
  return gone.signal
}

const unanswered = (error: unknown): unknown =>
  error instanceof PassageFailed ? metaErrors.unavailable('Meta does not answer: send it again later.', error) : error

const tooLarge = (): MetaError =>
  metaErrors.invalidParameter(`Param file is larger than ${UPLOAD_MAX_BYTES} bytes.`, 413)

async function* atMost(source: Readable, maxBytes: number, refusal: () => Error): AsyncGenerator<Buffer> {
  let bytes = 0
  for await (const chunk of source as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > maxBytes) throw refusal()
    yield chunk
  }
}

const textOf = async ({ body }: PassedAnswer): Promise<string> => {
  const chunks: Buffer[] = []
  const tooLong = () => metaErrors.unavailable('The answer of Meta is too long.')
  try {
    for await (const chunk of atMost(body, ANSWER_MAX_BYTES, tooLong)) chunks.push(chunk)
  } catch (cause) {
    throw cause instanceof Error && 'status' in cause
      ? cause
      : metaErrors.unavailable('The answer of Meta broke off.', cause)
  }
  return Buffer.concat(chunks).toString()
}

const sendText = (reply: FastifyReply, { status, headers }: PassedAnswer, text: string): FastifyReply => {
  const { 'content-length': _length, ...back } = headersBack(headers)
  return reply
    .code(status)
    .headers({ 'cache-control': 'private', ...back })
    .send(text)
}
