import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Response } from 'undici'
import { authorise, type CallSubject, meetFault, record, refuse } from './graph-answer.ts'
import { type GraphRefusal, invalidParameter, unsupportedRequest } from './graph-refusal.ts'
import { GRAPH_VERSION_PATH } from './graph-version.ts'
import { maxBytesOf, type StoredMedia } from './media-shelf.ts'
import type { Simulation } from './simulation.ts'

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
  { media: shelf, clock, settings }: Simulation,
  request: FastifyRequest,
  media: StoredMedia,
) => ({
  messaging_product: 'whatsapp',
  url: `http://${request.host}/media-download/${media.id}?${shelf.linkQuery(media.id, clock() + settings.timing.media_url_ms)}`,
  mime_type: media.mimeType,
  sha256: media.sha256,
  file_size: media.bytes.length,
  id: media.id,
})

/** Uploads, deletions and downloads of media; looking one up is `GET /v…/{id}`, with every other object. */
export const mediaRoutes = (app: FastifyInstance, simulation: Simulation): void => {
  const { directory, media: shelf, clock } = simulation

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
    const isOwner = [...authorised.tenants].some((tenant) => tenant.waba_id === media?.wabaId)
    if (!media || !isOwner || !shelf.isLinkValid(id, ext, hash, clock())) {
      record(simulation, request, subject, { outcome: 'refused', status: 404 })
      return reply.code(404).type('text/plain').send('Not Found')
    }
    const fault = await meetFault(simulation, request, reply, subject)
    if (fault.kind === 'ended') return reply
    record(simulation, request, subject, { outcome: 'answered', status: fault.kind === 'go' ? 200 : null })
    return fault.kind === 'go' ? reply.type(media.mimeType).send(media.bytes) : fault.end()
  })
}
