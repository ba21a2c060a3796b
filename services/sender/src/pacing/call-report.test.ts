import { expect, test } from 'vitest'
import type { Concern, SendResult } from '../channel/channel.ts'
import { callReport } from './call-report.ts'

const error = { code: 1, title: 'refused' }
const call = { token: 't', isCurrentToken: true, cause: 'c1:1' }
const refused = (concerns: Concern): SendResult => ({ kind: 'refused', error, retry: 'no', concerns, retryAfterMs: 7 })

test('an answer shows that the channel works, also one that refuses a message', () => {
  expect(callReport({ kind: 'accepted', receipt: { messageId: 'wamid.1' } }, call)).toEqual({ kind: 'works' })
  expect(callReport(refused('message'), call)).toEqual({ kind: 'works' })
})
test.each<SendResult>([{ kind: 'unknown', error }, { kind: 'unreachable', error }, refused('channel')])(
  'no answer, or that of a channel out of order, shows that it does not: %j',
  (result) => expect(callReport(result, call)).toEqual({ kind: 'broken' }),
)
test('too much is told of whom there is too much, with how long to wait', () => {
  expect(callReport(refused('number'), call)).toEqual({ kind: 'number-limit', retryAfterMs: 7 })
  expect(callReport(refused('recipient'), call)).toEqual({ kind: 'recipient-limit', retryAfterMs: 7 })
})
test('a refused account counts when it was asked with the credentials of now', () => {
  expect(callReport(refused('account'), call)).toEqual({ kind: 'account-refused', error, token: 't', cause: 'c1:1' })
  expect(callReport(refused('account'), { ...call, isCurrentToken: false })).toEqual({ kind: 'works' })
})
