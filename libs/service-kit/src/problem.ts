import { GatewayError, type InvalidField } from '@cloudapi2/contracts'

export const PROBLEM_CONTENT_TYPE = 'application/problem+json'

export interface ProblemOptions {
  status: number
  /** Stable; has a row in docs/errors.md. */
  code: string
  /** The same words for every occurrence of this code. */
  title: string
  /** What happened here and how to mend it. Never a secret, a message text or a phone number. */
  detail?: string
  headers?: Record<string, string>
  /** Further members of the problem object, such as `fields`. */
  extensions?: Record<string, unknown>
  cause?: unknown
}

/** An answer to an HTTP request that cannot be served, as RFC 9457 problem details. Thrown by routes only. */
export class Problem extends GatewayError {
  readonly status: number
  readonly title: string
  readonly detail: string | undefined
  readonly headers: Record<string, string>
  readonly extensions: Record<string, unknown>

  constructor({ status, code, title, detail, headers = {}, extensions = {}, cause }: ProblemOptions) {
    super(detail ?? title, { code, retryable: status === 429 || status >= 500, cause })
    this.status = status
    this.title = title
    this.detail = detail
    this.headers = headers
    this.extensions = extensions
  }

  body(): Record<string, unknown> {
    return {
      type: `urn:cloudapi2:problem:${this.code.toLowerCase().replaceAll('_', '-')}`,
      title: this.title,
      status: this.status,
      ...(this.detail === undefined ? {} : { detail: this.detail }),
      code: this.code,
      ...this.extensions,
    }
  }
}

/** A request with faults of form: names every field that is wrong and what was expected, never what was found. */
export const invalidRequest = (fields: readonly InvalidField[]): Problem =>
  new Problem({
    status: 400,
    code: 'INVALID_REQUEST',
    title: 'The request is not valid',
    detail: fields.map(({ path, message }) => `${path}: ${message}`).join('; '),
    extensions: { fields },
  })
