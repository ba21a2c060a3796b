import { GatewayError } from '@cloudapi2/contracts'
import { request } from 'undici'

export interface JsonApi {
  /**
   * One request. `undefined` for an answer without a body.
   *
   * @throws GatewayError SERVICE_UNREACHABLE when nobody answers; with the code of the answer when it is a refusal
   */
  call: (method: 'GET' | 'PUT' | 'PATCH' | 'POST' | 'DELETE', path: string, body?: unknown) => Promise<unknown>
}

export interface JsonApiOptions {
  baseUrl: string
  /** Who answers there, for messages. */
  service: string
  /** The variable that the address can be given by, for messages. */
  variable: string
  token?: string
  timeoutMs?: number
  /** True for the simulator, which tells of a refusal in Meta's way. */
  isSimulator?: boolean
}

const TIMEOUT_MS = 30_000

/** Calls a service as a script would, and gives its refusals back as errors of ours. */
export const jsonApi = ({
  baseUrl,
  service,
  variable,
  token,
  timeoutMs = TIMEOUT_MS,
  isSimulator = false,
}: JsonApiOptions): JsonApi => ({
  call: async (method, path, body) => {
    const answer = await request(`${baseUrl}${path}`, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
    })
      .then(async ({ statusCode, body: stream }) => ({ statusCode, text: await stream.text() }))
      .catch((cause: NodeJS.ErrnoException) => {
        throw new GatewayError(
          `${service} does not answer at ${baseUrl} (${cause.code ?? cause.name}): is it running? ${variable} names another address`,
          { code: 'SERVICE_UNREACHABLE', retryable: true, cause },
        )
      })
    const value = jsonOf(answer.text)
    if (answer.statusCode < 300) {
      if (value === undefined && answer.text !== '') throw notOurs(service, baseUrl, variable)
      return value
    }
    const refusal = isSimulator ? simulatorsRefusal(value) : refusalOf(service, answer.statusCode, value)
    throw refusal ?? notOurs(service, baseUrl, variable)
  },
})

const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const notOurs = (service: string, baseUrl: string, variable: string) =>
  new GatewayError(`what answers at ${baseUrl} is not ${service}: check ${variable}`, {
    code: 'SERVICE_UNRECOGNISED',
    retryable: false,
  })

const simulatorsRefusal = (value: unknown): GatewayError | undefined => {
  const { error } = (value ?? {}) as { error?: { message?: unknown } }
  return typeof error?.message === 'string'
    ? new GatewayError(`the simulator refused it: ${error.message}`, { code: 'SIMULATION_REFUSED', retryable: false })
    : undefined
}

/** From problem details. */
const refusalOf = (service: string, status: number, value: unknown): GatewayError | undefined => {
  const { code, title, detail } = (value ?? {}) as Record<string, unknown>
  if (typeof code !== 'string' || typeof title !== 'string') return undefined
  // The service tells how a token is sent; here it is told where the token comes from.
  if (code === 'UNAUTHENTICATED')
    return new GatewayError(`${service} does not know this token: ADMIN_TOKEN must be the one it was started with`, {
      code: 'UNAUTHENTICATED',
      retryable: false,
    })
  return new GatewayError(`${title}${typeof detail === 'string' ? `: ${detail}` : ''}`, {
    code,
    retryable: status === 429 || status >= 500,
  })
}
