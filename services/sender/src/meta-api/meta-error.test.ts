import { Problem, scopeMissing, unauthenticated } from '@cloudapi2/service-kit'
import { parseGraphError } from '@cloudapi2/whatsapp'
import { describe, expect, test } from 'vitest'
import { sendErrorOf } from '../channel/whatsapp-errors.ts'
import { refusals } from '../send-command/refusals.ts'
import { asMetaError, metaErrorOf } from './meta-error.ts'

describe('a refusal of Meta', () => {
  test('comes back as Meta gave it: status, code, words, and the trace id for its support', () => {
    const error = {
      message: '(#132001) Template name does not exist in the translation',
      type: 'OAuthException',
      code: 132001,
      error_subcode: 2494,
      error_data: { messaging_product: 'whatsapp', details: 'template name (x) does not exist in es' },
      fbtrace_id: 'Ab1d57',
    }
    const given = metaErrorOf(sendErrorOf(parseGraphError(404, { error })), 'c-1')
    expect(given.status).toBe(404)
    expect(given.body('ours')).toEqual({ error })
  })
  test('whose status nobody kept has the one that fits its fault', () =>
    expect(metaErrorOf({ code: 130429, title: 'Rate limit hit', fault: 'throttled' }, 'c-1')).toMatchObject({
      status: 429,
      error: { code: 130429, message: '(#130429) Rate limit hit', type: 'OAuthException' },
    }))
})

describe('a refusal of ours', () => {
  test.each([
    [refusals.invalidPhone, 400, 131009],
    [{ code: 'TEMPLATE_DATA_MISMATCH', title: 'The data does not fit the template', fault: 'request' }, 400, 132000],
    [{ code: 'UNKNOWN_TEMPLATE', title: 'There is no such template', fault: 'request' }, 404, 132001],
    [{ code: 'TEMPLATE_NOT_APPROVED', title: 'The template is not approved', fault: 'request' }, 404, 132001],
    [{ code: 'TEMPLATE_PAUSED', title: 'The template is paused', fault: 'request' }, 400, 132015],
    [{ code: 'TEMPLATE_DISABLED', title: 'The template is disabled', fault: 'request' }, 400, 132016],
    [refusals.idempotencyKeyReused, 400, 100],
    [refusals.noAccessToken, 403, 131005],
    [{ code: 'SOMETHING_NEW', title: 'Added tomorrow', fault: 'request' }, 400, 100],
  ])('$code has the code that Meta has for it, and ours beside it', (error, status, code) => {
    const given = metaErrorOf(error, 'c-1')
    expect(given).toMatchObject({ status, error: { code, type: 'OAuthException' } })
    expect(given.error.error_data).toMatchObject({
      messaging_product: 'whatsapp',
      details: expect.stringContaining(error.title),
      gateway_code: error.code,
      command_id: 'c-1',
    })
    expect(given.body('trace').error.fbtrace_id).toBe('trace')
  })
  test('that names fields goes on naming them', () => {
    const fields = [{ path: 'message.body.text.body', message: 'expected at most 4096 characters' }]
    expect(metaErrorOf(refusals.invalidCommand(fields), 'c-1').error).toMatchObject({
      code: 131009,
      error_data: { fields },
    })
  })
  test('for nothing but fields that are not there has Meta’s code for that', () => {
    const absent = { path: 'text', message: 'Invalid input: expected string, received undefined' }
    const wrong = { path: 'type', message: 'expected one of text, image' }
    expect(metaErrorOf(refusals.invalidCommand([absent]), 'c-1').error.code).toBe(131008)
    expect(metaErrorOf(refusals.invalidCommand([absent, wrong]), 'c-1').error.code).toBe(131009)
  })
})

describe('what a client repeats by itself', () => {
  test('is what was certainly not sent', () => {
    const given = metaErrorOf({ code: 'CHANNEL_UNREACHABLE', title: 'Not reached', fault: 'channel' }, 'c-1')
    expect(given).toMatchObject({ status: 503, error: { code: 2, is_transient: true } })
  })
  test('is never what may have been sent', () => {
    const given = metaErrorOf(refusals.uncertain, 'c-1')
    expect(given).toMatchObject({ status: 400, error: { code: 131000, is_transient: false } })
  })
})

describe('on these routes even our own problems are in Meta’s words', () => {
  test.each([
    ['an unknown key', unauthenticated(), 401, 190],
    ['a missing scope', scopeMissing('send'), 403, 10],
    ['a service that starts', new Problem({ status: 503, code: 'NOT_READY', title: 'starting' }), 503, 2],
    [
      'a body that is too large',
      Object.assign(new Error(), { code: 'FST_ERR_CTP_BODY_TOO_LARGE', statusCode: 413 }),
      413,
      100,
    ],
    ['a body that is no JSON', new SyntaxError('Unexpected token'), 400, 100],
    ['a mistake of ours', new TypeError('of undefined'), 500, 131000],
  ])('%s', (_, error, status, code) => {
    expect(asMetaError(error)).toMatchObject({ status, error: { code } })
    expect(JSON.stringify(asMetaError(error).body('t'))).not.toContain('of undefined')
  })
})
