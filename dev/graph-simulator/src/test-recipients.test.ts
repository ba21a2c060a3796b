import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { fixture, type Rig, shapeOf, startRig, text } from './simulator.rig.ts'
import { refusalOfAttempt, statusesToCome, suffixOf } from './test-recipient.ts'
import { TimingSchema } from './timing.ts'

let rig: Rig
beforeEach(async () => {
  rig = await startRig()
})
afterEach(() => rig.close())

const names = () => rig.receiver.statuses().map(({ status }: { status: string }) => status)
const codes = (answers: { status: number; body: { error?: { code: number } } }[]) =>
  answers.map(({ status, body }) => body.error?.code ?? status)
const inTurn = async (times: number, to: string, callbackData?: string) => {
  const answers = []
  for (let nth = 0; nth < times; nth += 1) answers.push(await rig.send(text(to, callbackData)))
  return answers
}

describe('a recipient ending in', () => {
  test('anything else is sent to, delivered to, and reads', async () => {
    await rig.send(text('+34600001234'))
    await rig.receiver.until(() => names().length === 3)
    expect(names()).toEqual(['sent', 'delivered', 'read'])
  })
  test('0001 is accepted, then failed with 131026', async () => {
    const { body } = await rig.send(text('+34600000001', 'job-1'))
    await rig.receiver.until(() => names().length === 1)
    const [status] = rig.receiver.statuses()
    expect(status).toMatchObject({ id: body.messages[0].id, status: 'failed', biz_opaque_callback_data: 'job-1' })
    const expected = fixture('webhooks/statuses.failed-131026-undeliverable').entry[0].changes[0].value.statuses[0]
    expect(status.errors).toEqual(expected.errors)
  })
  test('0002 is refused with 131047, and nothing is sent', async () => {
    const { status, body } = await rig.send(text('+34600000002'))
    expect(status).toBe(400)
    expect(shapeOf(body)).toEqual(shapeOf(fixture('graph/error.131047')))
    expect(await rig.calls('outcome=accepted')).toEqual([])
  })
  test('0003 is throttled twice, then accepted, for each message by its callback data', async () => {
    expect(codes(await inTurn(3, '+34600000003', 'job-1'))).toEqual([130429, 130429, 200])
    expect(codes(await inTurn(3, '+34600000003', 'job-2'))).toEqual([130429, 130429, 200])
    expect(codes(await inTurn(1, '+34600000003', 'job-1'))).toEqual([200])
  })
  test('0003 without callback data starts anew after each acceptance', async () => {
    expect(codes(await inTurn(6, '+34600000003'))).toEqual([130429, 130429, 200, 130429, 130429, 200])
  })
  test('0004 is accepted and gets its statuses, but the caller is never answered', async () => {
    await expect(rig.send(text('+34600000004', 'job-1'))).rejects.toThrow(/other side closed|ECONNRESET/)
    const [call] = await rig.calls('callback_data=job-1')
    expect(call).toMatchObject({ outcome: 'accepted', status: null })
    await rig.receiver.until(() => names().length === 3)
    expect(rig.receiver.statuses()[0]).toMatchObject({ id: call.message_id, biz_opaque_callback_data: 'job-1' })
  })
  test('0005 meets an error 500 once, then is accepted', async () => {
    const answers = await inTurn(2, '+34600000005', 'job-1')
    expect(codes(answers)).toEqual([131000, 200])
    expect(answers[0]?.status).toBe(500)
    expect(shapeOf(answers[0]?.body)).toEqual(shapeOf(fixture('graph/error.131000')))
  })
  test('0006 is read before it is delivered', async () => {
    await rig.send(text('+34600000006'))
    await rig.receiver.until(() => names().length === 3)
    expect(names()).toEqual(['sent', 'read', 'delivered'])
  })
  test('0007 gets every status twice', async () => {
    await rig.send(text('+34600000007'))
    await rig.receiver.until(() => names().length === 6)
    expect(names().sort()).toEqual(['delivered', 'delivered', 'read', 'read', 'sent', 'sent'])
    const bytes = rig.receiver.received.map((webhook) => webhook.bytes.toString())
    expect(new Set(bytes).size).toBe(3)
  })
  test('0008 has its sent status before the answer', async () => {
    const { body } = await rig.send(text('+34600000008'))
    expect(rig.receiver.statuses()[0]).toMatchObject({ id: body.messages[0].id, status: 'sent' })
    await rig.receiver.until(() => names().length === 3)
  })
  test('0008 is answered although the tenant does not take the status', async () => {
    rig.receiver.respondWith((_, response, nth) => response.writeHead(nth === 1 ? 503 : 200).end())
    expect((await rig.send(text('+34600000008'))).status).toBe(200)
  })
})

describe('the suffix', () => {
  test('is looked for at the end of a user id too, and never in a group', () => {
    expect(suffixOf({ kind: 'user', input: '', id: 'GB.205619348774020002' })).toBe('0002')
    expect(suffixOf({ kind: 'group', input: '', id: 'group-0002' })).toBe('ordinary')
  })
  test('that is no suffix of ours refuses nothing', () => {
    expect(refusalOfAttempt('ordinary', 1, true)).toBeUndefined()
  })
})

describe('statuses', () => {
  const timing = TimingSchema.parse({})
  test('leave 50, 150 and 400 ms after the acceptance', () => {
    expect(statusesToCome('ordinary', 'text', timing).map((step) => step.afterMs)).toEqual([50, 150, 400])
  })
  test('of a reaction end with sent', () => {
    expect(statusesToCome('ordinary', 'reaction', timing).map((step) => step.status)).toEqual(['sent'])
  })
  test('that overtake each other keep the times at which they happened', () => {
    const [, read, delivered] = statusesToCome('0006', 'text', timing)
    expect(read).toMatchObject({ status: 'read', afterMs: 150, happenedAfterMs: 400 })
    expect(delivered).toMatchObject({ status: 'delivered', afterMs: 400, happenedAfterMs: 150 })
  })
  test('that are set to null never come', () => {
    expect(statusesToCome('ordinary', 'text', { ...timing, read_ms: null }).map((step) => step.status)).toEqual([
      'sent',
      'delivered',
    ])
  })
})
