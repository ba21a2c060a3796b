import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Call, createCallLog } from './call-log.ts'
import { PHONE, type Rig, startRig, text } from './simulator.rig.ts'

describe('the list of calls', () => {
  let rig: Rig
  beforeEach(async () => {
    rig = await startRig()
  })
  afterEach(() => rig.close())

  test('tells what was asked and how it ended, without token and text', async () => {
    const { body } = await rig.send(text('+34608684495', 'job-1'))
    await rig.send(text('+34600000002', 'job-2'))
    await rig.send(text('+34608684495'), 'nobody')
    const calls = await rig.calls('')
    expect(calls).toMatchObject([
      {
        method: 'POST',
        path: `/v22.0/${PHONE}/messages`,
        phone_number_id: PHONE,
        to: '+34608684495',
        callback_data: 'job-1',
        type: 'text',
        outcome: 'accepted',
        status: 200,
        message_id: body.messages[0].id,
      },
      { callback_data: 'job-2', outcome: 'refused', status: 400, code: 131047, message_id: null },
      { outcome: 'unauthorised', status: 401, code: 190 },
    ])
    expect(JSON.stringify(calls)).not.toMatch(/token-a|nobody|Your order/)
    expect((await rig.call('GET', '/simulate/stats')).body.codes).toEqual({ 131047: 1, 190: 1 })
  })
  test('never keeps a token that came in the query', async () => {
    await rig.call('GET', `/v22.0/${PHONE}?access_token=token-a`, undefined, {})
    expect(JSON.stringify(await rig.calls(''))).not.toContain('token-a')
    expect(await rig.calls('outcome=answered')).toHaveLength(1)
  })
  test('is filtered by number, recipient, callback data and outcome', async () => {
    for (const [to, job] of [
      ['+34600000011', 'a'],
      ['+34600000012', 'b'],
      ['+34600000012', 'c'],
    ] as const)
      await rig.send(text(to, job))
    expect(await rig.calls('to=34600000012')).toHaveLength(2)
    expect(await rig.calls('to=%2B34 600 000 012&callback_data=c')).toHaveLength(1)
    expect(await rig.calls('outcome=refused')).toEqual([])
    expect(await rig.calls('phone_number_id=1')).toEqual([])
    expect((await rig.calls('limit=1')).map((call: Call) => call.callback_data)).toEqual(['c'])
    expect((await rig.call('GET', '/simulate/calls?colour=red')).status).toBe(400)
  })
  test('counts what went out twice', async () => {
    for (const job of ['a', 'a', 'a', 'b']) await rig.send(text('+34600000011', job))
    const { callback_data } = (await rig.call('GET', '/simulate/stats')).body
    expect(callback_data).toMatchObject({ distinct: 2, sent_more_than_once: 1, extra_sends: 2 })
  })
  test('comes with what is still to reach the tenants', async () => {
    const pending = async () => (await rig.call('GET', '/simulate/stats')).body.webhooks.pending
    await rig.call('PUT', '/simulate/timing', { read_ms: 3_600_000 })
    await rig.send(text('+34608684495'))
    await rig.receiver.until(() => rig.receiver.received.length === 2)
    await expect.poll(pending).toBe(1)
  })
  test('can be cleared', async () => {
    await rig.send(text('+34608684495'))
    await rig.call('DELETE', '/simulate/calls')
    expect(await rig.calls('')).toEqual([])
    expect((await rig.call('GET', '/simulate/stats')).body.accepted).toBe(0)
  })
})

describe('the ring', () => {
  const call = (nth: number): Call => ({
    at: '',
    method: 'POST',
    path: '',
    company_id: 'a',
    phone_number_id: '1',
    to: null,
    callback_data: `job-${nth}`,
    type: 'text',
    outcome: 'accepted',
    status: 200,
    code: null,
    message_id: null,
  })
  test('forgets the oldest calls and keeps exact counters', () => {
    const log = createCallLog({ callsMax: 3 })
    for (let nth = 1; nth <= 8; nth += 1) log.add(call(nth))
    const { calls, matched, forgotten } = log.find({}, 10)
    expect(calls.map(({ callback_data }) => callback_data)).toEqual(['job-6', 'job-7', 'job-8'])
    expect({ matched, forgotten }).toEqual({ matched: 3, forgotten: 5 })
    expect(log.stats()).toMatchObject({ calls: 8, accepted: 8, callback_data: { distinct: 8 } })
  })
  test('does not take the same callback data of two companies for a double send', () => {
    const log = createCallLog()
    log.add(call(1))
    log.add({ ...call(1), company_id: 'b' })
    expect(log.stats().callback_data.extra_sends).toBe(0)
  })
})
