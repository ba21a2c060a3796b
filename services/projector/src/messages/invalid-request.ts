import type { InvalidField } from '@cloudapi2/contracts'
import { Problem } from '@cloudapi2/service-kit'

/** Names every parameter that is wrong and what was expected, never what was found. */
export const invalidRequest = (fields: readonly InvalidField[]): Problem =>
  new Problem({
    status: 400,
    code: 'INVALID_REQUEST',
    title: 'The request is not valid',
    detail: fields.map(({ path, message }) => `${path}: ${message}`).join('; '),
    extensions: { fields },
  })
