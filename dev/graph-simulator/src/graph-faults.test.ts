import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Rig, startRig, text } from './simulator.rig.ts'

let rig: Rig
beforeEach(async () => {
  rig = await startRig()
  await rig.call('PUT', '/simulate/limits', { enforce: false })
})
afterEach(() => rig.close())

const send = (nth: number) =>
  rig.send(text('+34608684495', `job-${nth}`)).then(
    ({ status }) => status,
    () => 'broken',
  )
const sendMany = (count: number) => Promise.all(Array.from({ length: count }, (_, nth) => send(nth)))

describe('faults of the Graph API:', () => {
  test('5xx answers have done nothing', async () => {
    await rig.call('POST', '/simulate/faults', { errors_5xx: 1, affects: ['graph'] })
    const answers = await sendMany(10)
    expect(answers.every((status) => status === 500 || status === 503)).toBe(true)
    expect((await rig.call('GET', '/simulate/stats')).body).toMatchObject({ accepted: 0, server_error: 10 })
  })
  test.each(['resets', 'timeouts'])(
    '%s leave the caller not knowing: some were accepted, some were not',
    async (fault) => {
      await rig.call('POST', '/simulate/faults', { [fault]: 1, affects: ['graph'] })
      expect(await sendMany(20)).toEqual(Array.from({ length: 20 }, () => 'broken'))
      const { accepted, lost } = (await rig.call('GET', '/simulate/stats')).body
      expect(accepted + lost).toBe(20)
      expect(Math.min(accepted, lost)).toBeGreaterThan(0)
      const acceptedIds = (await rig.calls('outcome=accepted')).map((call: { message_id: string }) => call.message_id)
      await rig.receiver.until(() => rig.receiver.statuses().length === 3 * accepted)
      expect(new Set(rig.receiver.statuses().map(({ id }: { id: string }) => id))).toEqual(new Set(acceptedIds))
    },
  )
  test('a delay is a delay', async () => {
    await rig.call('POST', '/simulate/faults', { delay: 1, delay_ms: 80, affects: ['graph'] })
    const startedAt = performance.now()
    expect(await send(1)).toBe(200)
    expect(performance.now() - startedAt).toBeGreaterThan(70)
  })
  test('a rate is a share', async () => {
    await rig.call('POST', '/simulate/faults', { errors_5xx: 0.5, affects: ['graph'] })
    const failed = (await sendMany(100)).filter((status) => status !== 200).length
    expect(failed).toBeGreaterThan(25)
    expect(failed).toBeLessThan(75)
  })
  test('what is set stays set until it is changed or taken back', async () => {
    await rig.call('POST', '/simulate/faults', { errors_5xx: 0.5 })
    await rig.call('POST', '/simulate/faults', { resets: 0.1 })
    expect((await rig.call('GET', '/simulate/faults')).body).toMatchObject({ errors_5xx: 0.5, resets: 0.1 })
    expect((await rig.call('DELETE', '/simulate/faults')).body).toMatchObject({ errors_5xx: 0, resets: 0 })
  })
  test.each([{ errors_5xx: 2 }, { error: 0.5 }, 'much'])('%j is refused', async (faults) => {
    expect((await rig.call('POST', '/simulate/faults', faults)).status).toBe(400)
  })
})

test('the same seed gives the same ids and the same faults', async () => {
  const run = async () => {
    const other = await startRig({ seed: 42 })
    await other.call('POST', '/simulate/faults', { errors_5xx: 0.5, duplicates: 0.5 })
    const answers = []
    for (let nth = 0; nth < 12; nth += 1) {
      const { status, body } = await other.send(text('+34608684495'))
      answers.push(`${status} ${body.messages?.[0].id}`)
    }
    await other.close()
    return answers
  }
  const first = await run()
  expect(new Set(first.map((answer) => answer.split(' ')[0]))).toContain('200')
  expect(await run()).toEqual(first)
})
