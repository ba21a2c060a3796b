import { companyInPath, headersOf, operationsOf, problems } from './operation.ts'
import { type Schema, string } from './schema.ts'

const of = operationsOf('media', [{ apiKey: [] }, { adminToken: [] }])

const FILE: Schema = {
  description: 'The file',
  headers: headersOf({
    ETag: 'The SHA-256 of its content',
    'Content-Disposition': 'With the name it was sent under',
    'Content-Range': 'With 206',
  }),
  content: { '*/*': { schema: { type: 'string', format: 'binary' } } },
}

export const mediaOperations = [
  of('get', '/companies/{company_id}/media/{media_id}', {
    id: 'getMedia',
    summary: 'A file that a message carried',
    parameters: [
      companyInPath,
      {
        name: 'media_id',
        in: 'path',
        required: true,
        description: 'The `data.media.id` of the message',
        schema: string,
      },
      { name: 'Range', in: 'header', description: 'A part of it', schema: string },
      { name: 'If-None-Match', in: 'header', schema: string },
      { name: 'If-Range', in: 'header', schema: string },
    ],
    responses: {
      200: FILE,
      206: { ...FILE, description: 'A part of the file' },
      304: { description: 'The one that `If-None-Match` names' },
      ...problems({
        400: ['INVALID_REQUEST'],
        401: ['UNAUTHENTICATED'],
        403: ['SCOPE_MISSING', 'COMPANY_OF_ANOTHER_KEY'],
        404: ['UNKNOWN_MEDIA'],
        409: ['MEDIA_NOT_STORED_YET'],
        410: ['MEDIA_GONE'],
        416: ['RANGE_NOT_SATISFIABLE'],
        503: ['NOT_READY', 'MEDIA_STORE_UNAVAILABLE'],
      }),
    },
  }),
]
