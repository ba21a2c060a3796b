/** An answer of the Graph API that is not what was asked for. Codes, titles and HTTP statuses are Meta's. */
export interface GraphRefusal {
  readonly httpStatus: number
  readonly error: {
    readonly message: string
    readonly type: string
    readonly code: number
    readonly error_subcode?: number
    readonly is_transient?: boolean
    readonly error_data?: { readonly messaging_product: 'whatsapp'; readonly details: string }
  }
}

const oauth = (httpStatus: number, code: number, title: string, details?: string): GraphRefusal => ({
  httpStatus,
  error: {
    message: `(#${code}) ${title}`,
    type: 'OAuthException',
    code,
    ...(details === undefined ? {} : { error_data: { messaging_product: 'whatsapp' as const, details } }),
  },
})

export const malformedToken = (): GraphRefusal => ({
  httpStatus: 401,
  error: { message: 'Malformed access token', type: 'OAuthException', code: 190 },
})

export const expiredToken = (): GraphRefusal => ({
  httpStatus: 401,
  error: {
    message: 'Error validating access token: Session has expired.',
    type: 'OAuthException',
    code: 190,
    error_subcode: 463,
  },
})

/** An id that does not exist, or that this token may not see: Meta does not tell which. */
export const unsupportedRequest = (method: string, id: string): GraphRefusal => ({
  httpStatus: 400,
  error: {
    message: `Unsupported ${method.toLowerCase()} request. Object with ID '${id}' does not exist, cannot be loaded due to missing permissions, or does not support this operation.`,
    type: 'GraphMethodException',
    code: 100,
    error_subcode: 33,
  },
})

export const unknownPath = (path: string): GraphRefusal => ({
  httpStatus: 400,
  error: { message: `Unknown path components: ${path}`, type: 'OAuthException', code: 2500 },
})

export const invalidParameter = (details: string): GraphRefusal => oauth(400, 100, 'Invalid parameter', details)
export const missingParameter = (details: string): GraphRefusal =>
  oauth(400, 131008, 'Required parameter is missing', details)
export const invalidValue = (parameter: string): GraphRefusal =>
  oauth(400, 131009, 'Parameter value is not valid', `Parameter value is not valid: ${parameter}`)
export const invalidCursor = (): GraphRefusal => oauth(400, 131059, 'Invalid cursor', 'The cursor is not valid.')
export const windowClosed = (): GraphRefusal =>
  oauth(
    400,
    131047,
    'Re-engagement message',
    'More than 24 hours have passed since the recipient last replied to the sender number.',
  )
export const throughputReached = (): GraphRefusal =>
  oauth(400, 130429, 'Rate limit hit', 'Cloud API message throughput has been reached.')
export const pairLimitReached = (): GraphRefusal =>
  oauth(
    400,
    131056,
    '(Business Account, Consumer Account) pair rate limit hit',
    'Message failed to send because there were too many messages sent from this phone number to the same phone number in a short period of time.',
  )
export const managementLimitReached = (): GraphRefusal =>
  oauth(400, 80007, 'Rate limit issues', 'The WhatsApp Business Account has reached its rate limit.')
export const somethingWentWrong = (): GraphRefusal =>
  oauth(500, 131000, 'Something went wrong', 'Message failed to send due to an unknown error.')
export const serviceUnavailable = (): GraphRefusal => ({
  httpStatus: 503,
  error: { message: '(#2) Service temporarily unavailable', type: 'OAuthException', code: 2, is_transient: true },
})
export const templateUnknown = (name: string, language: string): GraphRefusal =>
  oauth(
    404,
    132001,
    'Template name does not exist in the translation',
    `template name (${name}) does not exist in ${language}`,
  )
export const templateParameterCount = (component: string, found: number, expected: number): GraphRefusal =>
  oauth(
    400,
    132000,
    'Number of parameters does not match the expected number of params',
    `${component}: number of localizable_params (${found}) does not match the expected number of params (${expected})`,
  )
export const templateParameterFormat = (component: string, expected: string, received: string): GraphRefusal =>
  oauth(
    400,
    132012,
    'Parameter format does not match format in the created template',
    `${component}: Format mismatch, expected ${expected}, received ${received}`,
  )
export const templatePaused = (): GraphRefusal => oauth(400, 132015, 'Template is paused')
export const templateDisabled = (): GraphRefusal => oauth(400, 132016, 'Template is disabled')
