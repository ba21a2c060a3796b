import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { ERROR_CODES } from './error-codes.ts'
import { errorInfo, isCredentialError, isRetryable, parseGraphError } from './graph-error.ts'

const FOLDER = new URL('../../fixtures/graph/', import.meta.url)
const files = readdirSync(FOLDER).filter((file) => file.startsWith('error.'))
const load = (file: string): unknown => JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8'))

/** Per file: the code, whether it is worth a repetition, whether the token is at fault, and the details. */
const EXPECTED: Record<string, [code: number, retry: boolean, credential: boolean, details?: string]> = {
  'error.0.json': [0, false, true, 'We were unable to authenticate the app user.'],
  'error.1.json': [1, true, false],
  'error.10.json': [10, false, true],
  'error.100-invalid-parameter.json': [100, false, false, 'Unexpected key "txt" on param "text".'],
  'error.100-template-create-subcode.json': [
    100,
    false,
    false,
    "Variables can't be at the start or end of the template.",
  ],
  'error.100-unsupported-get.json': [100, false, false],
  'error.130429.json': [130429, true, false, 'Cloud API message throughput has been reached.'],
  'error.130497.json': [130497, false, false],
  'error.131000.json': [131000, true, false, 'Message failed to send due to an unknown error.'],
  'error.131005.json': [131005, false, true, 'Permission is either not granted or has been removed.'],
  'error.131008.json': [131008, false, false, "Parameter 'to' is mandatory for type 'text'"],
  'error.131009.json': [131009, false, false, 'Parameter value is not valid: text.body'],
  'error.131016.json': [131016, true, false],
  'error.131021.json': [131021, false, false],
  'error.131026.json': [131026, false, false, 'Message Undeliverable.'],
  'error.131030.json': [
    131030,
    false,
    false,
    'Recipient phone number not in allowed list: Add recipient phone number to recipient list and try again.',
  ],
  'error.131031.json': [131031, false, false],
  'error.131037.json': [131037, false, false],
  'error.131042.json': [131042, false, false],
  'error.131045.json': [131045, false, false],
  'error.131047.json': [
    131047,
    false,
    false,
    'More than 24 hours have passed since the recipient last replied to the sender number.',
  ],
  'error.131048.json': [131048, true, false],
  'error.131051.json': [131051, false, false],
  'error.131052.json': [131052, false, false],
  'error.131053.json': [131053, false, false],
  'error.131055.json': [131055, false, false, 'Only marketing template messages are supported'],
  'error.131056.json': [
    131056,
    true,
    false,
    'Message failed to send because there were too many messages sent from this phone number to the same phone number in a short period of time.',
  ],
  'error.131057.json': [131057, true, false],
  'error.131062.json': [
    131062,
    false,
    false,
    'Business-scoped User ID (BSUID) recipients are not supported for this message.',
  ],
  'error.131063.json': [131063, false, false],
  'error.131064.json': [131064, false, false],
  'error.132000.json': [
    132000,
    false,
    false,
    'body: number of localizable_params (1) does not match the expected number of params (2)',
  ],
  'error.132001.json': [132001, false, false, 'template name (order_ready) does not exist in de'],
  'error.132005.json': [132005, false, false],
  'error.132007.json': [132007, false, false],
  'error.132012.json': [132012, false, false, 'header: Format mismatch, expected IMAGE, received UNKNOWN'],
  'error.132015.json': [132015, false, false],
  'error.132016.json': [132016, false, false],
  'error.133010.json': [
    133010,
    false,
    false,
    'Account does not exist in Cloud API, please use /register API to create an account first',
  ],
  'error.134101.json': [134101, true, false],
  'error.135000.json': [135000, false, false],
  'error.137000.json': [137000, false, false],
  'error.139100.json': [139100, false, false],
  'error.190-malformed.json': [190, false, true],
  'error.190-token-expired.json': [190, false, true],
  'error.2.json': [2, true, false],
  'error.200.json': [200, false, true],
  'error.33.json': [
    33,
    false,
    false,
    'Object does not exist, cannot be loaded due to missing permissions, or does not support this operation',
  ],
  'error.368.json': [368, false, false, 'The WhatsApp Business Account has been restricted'],
  'error.4.json': [4, true, false],
  'error.80007.json': [80007, true, false, 'The WhatsApp Business Account has reached its rate limit.'],
  'error.transient-flag.json': [2, true, false],
}

test('every error in the fixtures has an expected reading', () =>
  expect(Object.keys(EXPECTED).sort()).toEqual(files.sort()))

describe.each(files)('%s', (file) => {
  const [code, retry, credential, details] = EXPECTED[file] as [number, boolean, boolean, string?]
  // Any status: the code decides.
  const error = parseGraphError(400, load(file))

  test('is read', () => {
    expect(error.code).toBe(code)
    expect(error.details).toBe(details)
    expect(error.title).toBe(errorInfo(code)?.title)
    expect(error.fbtraceId).toMatch(/^A/)
  })
  test('is repeated, or not', () => expect(isRetryable(error)).toBe(retry))
  test('blames the token, or not', () => expect(isCredentialError(error.code)).toBe(credential))
  test('its code is in the table, with something to do', () => expect(errorInfo(code)?.action).toMatch(/\w/))
})

test('the subcode, the type and the invitation to repeat are kept', () => {
  expect(parseGraphError(400, load('error.190-token-expired.json'))).toMatchObject({
    subcode: 463,
    type: 'OAuthException',
  })
  expect(parseGraphError(400, load('error.transient-flag.json')).isTransient).toBe(true)
})

describe('the table', () => {
  test('every code from 200 to 299 is a matter of permission', () => {
    for (const code of [200, 230, 299]) expect(errorInfo(code)?.family).toBe('authorization')
    expect(errorInfo(300)).toBeUndefined()
    expect(errorInfo(199)).toBeUndefined()
  })
  test('names each code once', () => {
    const codes = ERROR_CODES.map((info) => info.code)
    expect(new Set(codes).size).toBe(codes.length)
  })
  test('says for every code why it comes and what to do', () => {
    for (const info of ERROR_CODES) expect([info.title, info.reason, info.action].join('')).toMatch(/\w/)
  })
})

describe('an error Meta did not describe', () => {
  test.each([
    [500, true],
    [502, true],
    [503, true],
    [429, true],
    [404, false],
    [400, false],
    [302, false],
    // A number that is also a code of Meta's (permission): here it is a status.
    [200, false],
  ])('of status %i is repeated: %s', (status, retry) => {
    for (const body of [undefined, 'text', {}, { error: 'no' }, { error: { message: 'no code' } }]) {
      const error = parseGraphError(status, body)
      expect(error).toMatchObject({ code: status, type: 'HTTP', httpStatus: status })
      expect(isRetryable(error)).toBe(retry)
    }
  })

  test('a code that was added since is judged by its status', () => {
    const body = { error: { code: 999_999, message: '(#999999) New trouble' } }
    expect(parseGraphError(400, body)).toMatchObject({ title: 'New trouble' })
    expect(isRetryable(parseGraphError(400, body))).toBe(false)
    expect(isRetryable(parseGraphError(503, body))).toBe(true)
    expect(isRetryable(parseGraphError(400, { error: { code: 999_999, is_transient: true } }))).toBe(true)
  })

  test('error_data may be plain text', () =>
    expect(parseGraphError(400, { error: { code: '100', error_data: 'param x' } })).toMatchObject({
      code: 100,
      details: 'param x',
    }))
})
