import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Response } from 'undici'
import { SimulationRefused } from './errors.ts'
import { authorise, type CallSubject, meetFault, record, refuse } from './graph-answer.ts'
import { type GraphRefusal, invalidParameter, unsupportedRequest } from './graph-refusal.ts'
import { GRAPH_VERSION_PATH } from './graph-version.ts'
import { maxBytesOf, type StoredMedia } from './media-shelf.ts'
import type { Simulation } from './simulation.ts'
import type { Tenant } from './tenants.ts'

/** The largest document Meta takes, and room for the form around it. */
const UPLOAD_MAX_BYTES = 101 * 1024 * 1024

type Upload = { mimeType: string; bytes: Buffer }

/** Reads a multipart form as Meta asks for it, or any other body as the file itself. */
const readUpload = async (
  body: unknown,
  contentType: string,
  product: unknown,
): Promise<Upload | { refusal: GraphRefusal }> => {
  if (!Buffer.isBuffer(body) || body.length === 0)
    return { refusal: invalidParameter('The parameter file is required.') }
  if (!contentType.startsWith('multipart/form-data')) return { mimeType: contentType, bytes: body }
  const form = await new Response(body, { headers: { 'content-type': contentType } }).formData().catch(() => undefined)
  if (!form) return { refusal: invalidParameter('The multipart body cannot be read.') }
  // Graph takes parameters from the query as well; one SDK puts this one there.
  if ((form.get('messaging_product') ?? product) !== 'whatsapp')
    return { refusal: invalidParameter('The parameter messaging_product is required.') }
  const file = form.get('file')
  if (file === null || typeof file === 'string') return { refusal: invalidParameter('The parameter file is required.') }
  const stated = form.get('type')
  // Some clients name the kind ("image") instead of the MIME type; the part's own type is right then.
  const mimeType = typeof stated === 'string' && stated.includes('/') ? stated : file.type
  return { mimeType, bytes: Buffer.from(await file.arrayBuffer()) }
}

const sizeRefusal = ({ mimeType, bytes }: Upload): GraphRefusal | undefined => {
  const maxBytes = maxBytesOf(mimeType)
  if (maxBytes === undefined)
    return invalidParameter(`Param file must be a file with one of the supported types: ${mimeType}`)
  return bytes.length > maxBytes ? invalidParameter(`Param file is larger than ${maxBytes} bytes`) : undefined
}

/** The answer to `GET /v…/{media-id}`: the link lives five minutes and opens with the same token only. */
export const mediaBody = (
  { media: shelf, mediaFaults, clock, settings }: Simulation,
  request: FastifyRequest,
  media: StoredMedia,
  { company_id }: Tenant,
) => {
  const lifeMs = mediaFaults.meets(company_id, 'expired_urls') ? -1 : settings.timing.media_url_ms
  const sha256 = mediaFaults.meets(company_id, 'wrong_sha256')
    ? createHash('sha256').update('another file').digest('hex')
    : media.sha256
  const form = mediaFaults.of(company_id).sha256_form
  return {
    messaging_product: 'whatsapp',
    url: `http://${request.host}/media-download/${media.id}?${shelf.linkQuery(media.id, clock() + lifeMs)}`,
    mime_type: media.mimeType,
    ...(form === 'absent' ? {} : { sha256: form === 'hex' ? sha256 : Buffer.from(sha256, 'hex').toString('base64') }),
    file_size: media.bytes.length,
    id: media.id,
  }
}

/** How often a slow download goes on. */
const STEP_MS = 50

/** A file that comes slowly, breaks off in the middle, or both. */
async function* troubled(
  { timers }: Simulation,
  bytes: Buffer,
  { bytesPerSecond, isCutOff }: { bytesPerSecond: number | null; isCutOff: boolean },
): AsyncGenerator<Buffer> {
  const step = bytesPerSecond === null ? bytes.length : Math.max(1, Math.ceil((bytesPerSecond * STEP_MS) / 1_000))
  const end = isCutOff ? bytes.length >> 1 : bytes.length
  for (let at = 0; at < end; at += step) {
    yield bytes.subarray(at, Math.min(end, at + step))
    if (bytesPerSecond !== null) await new Promise<void>((resolve) => void timers.after(STEP_MS, resolve))
  }
  if (isCutOff) throw new SimulationRefused('broken off, as ordered')
}

/** Uploads, deletions and downloads of media; looking one up is `GET /v…/{id}`, with every other object. */
export const mediaRoutes = (app: FastifyInstance, simulation: Simulation): void => {
  const { directory, media: shelf, mediaFaults, clock } = simulation

  app.post(`/${GRAPH_VERSION_PATH}/:id/media`, { bodyLimit: UPLOAD_MAX_BYTES }, async (request, reply) => {
    const { id } = request.params as { id: string }
    const number = directory.byPhoneNumber(id)
    const subject: CallSubject = {
      type: 'media.upload',
      phone_number_id: id,
      company_id: number?.tenant.company_id ?? null,
    }
    const answerRefusal = (refusal: GraphRefusal) => refuse(simulation, request, reply, subject, refusal)
    const authorised = authorise(simulation, request)
    if ('refusal' in authorised) return answerRefusal(authorised.refusal)
    if (!number || !authorised.tenants.has(number.tenant)) return answerRefusal(unsupportedRequest(request.method, id))
    const fault = await meetFault(simulation, request, reply, subject)
    if (fault.kind === 'ended') return reply
    const { messaging_product: product } = request.query as { messaging_product?: string }
    const contentType = request.headers['content-type'] ?? 'application/octet-stream'
    const upload = await readUpload(request.body, contentType, product)
    if ('refusal' in upload) return answerRefusal(upload.refusal)
    const refusal = sizeRefusal(upload)
    if (refusal) return answerRefusal(refusal)
    const media = shelf.put(number.tenant.waba_id, upload.mimeType, upload.bytes)
    record(simulation, request, subject, { outcome: 'answered', status: fault.kind === 'go' ? 200 : null })
    return fault.kind === 'go' ? reply.send({ id: media.id }) : fault.end()
  })

  app.delete(`/${GRAPH_VERSION_PATH}/:id`, async (request, reply) => {
    const { id } = request.params as { id: string }
    const subject: CallSubject = { type: 'media.delete' }
    const authorised = authorise(simulation, request)
    if ('refusal' in authorised) return refuse(simulation, request, reply, subject, authorised.refusal)
    const media = shelf.get(id)
    if (!media || ![...authorised.tenants].some((tenant) => tenant.waba_id === media.wabaId))
      return refuse(simulation, request, reply, subject, unsupportedRequest(request.method, id))
    shelf.remove(id)
    record(simulation, request, subject, { outcome: 'answered', status: 200 })
    return reply.send({ success: true })
  })

  app.get('/media-download/:id', async (request: FastifyRequest, reply: FastifyReply) => {
    const { id } = request.params as { id: string }
    const { ext = '', hash = '' } = request.query as { ext?: string; hash?: string }
    const subject: CallSubject = { type: 'media.download' }
    const authorised = authorise(simulation, request)
    if ('refusal' in authorised) return refuse(simulation, request, reply, subject, authorised.refusal)
    const media = shelf.get(id)
    const owner = [...authorised.tenants].find((tenant) => tenant.waba_id === media?.wabaId)
    const isThere = media && owner && shelf.isLinkValid(id, ext, hash, clock())
    if (!isThere || mediaFaults.meets(owner.company_id, 'download_missing')) {
      record(simulation, request, subject, { outcome: 'refused', status: 404 })
      return reply.code(404).type('text/plain').send('Not Found')
    }
    subject.company_id = owner.company_id
    if (mediaFaults.meets(owner.company_id, 'download_5xx')) {
      record(simulation, request, subject, { outcome: 'server_error', status: 503 })
      return reply.code(503).type('text/plain').send('Service Unavailable')
    }
    const fault = await meetFault(simulation, request, reply, subject)
    if (fault.kind === 'ended') return reply
    record(simulation, request, subject, { outcome: 'answered', status: fault.kind === 'go' ? 200 : null })
    if (fault.kind !== 'go') return fault.end()
    const isCutOff = mediaFaults.meets(owner.company_id, 'cut_off')
    const bytesPerSecond = mediaFaults.of(owner.company_id).bytes_per_second
    void reply.type(media.mimeType).header('content-length', media.bytes.length)
    if (!isCutOff && bytesPerSecond === null) return reply.send(media.bytes)
    return reply.send(Readable.from(troubled(simulation, media.bytes, { bytesPerSecond, isCutOff })))
  })
}
