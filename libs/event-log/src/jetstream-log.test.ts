import { expect, test } from 'vitest'
import { collect, eventLogContract, eventOf } from './event-log.contract.ts'
import { jetStreamLog, LogIsReadOnly } from './jetstream-log.client.ts'
import { natsLogRig } from './nats-log.rig.ts'

eventLogContract('JetStream', natsLogRig)

test('a log opened without a publisher is for reading only', async () => {
  const { log, nats, close } = await natsLogRig()
  try {
    const event = eventOf()
    await log.append([event])
    const readOnly = jetStreamLog({ nats })
    await expect(readOnly.append([event])).rejects.toThrow(LogIsReadOnly)
    expect(await collect(readOnly.read({ companyId: event.companyid }))).toHaveLength(1)
  } finally {
    await close()
  }
})
