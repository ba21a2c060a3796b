import { encodeEvent, eventId, newEvent, type StoredEvent } from '@cloudapi2/contracts'
import { type Delivery, KvConflict, type Publication } from '@cloudapi2/nats'
import { createLog } from '@cloudapi2/service-kit'
import { beforeEach, describe, expect, test } from 'vitest'
import type { Held } from '../send-command/ledger.store.ts'
import type { SendState } from '../send-command/send-command.ts'
import { createAcceptedCommands } from './accepted-commands.ts'
import { settleByStatus } from './settle-by-status.handler.ts'

const COMPANY = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
const AT = '2026-11-24T08:15:30.000Z'
const error = { code: 'CHANNEL_ANSWER_LOST', title: 'No answer' }

let ledger: Map<string, Held>
let looks: number
let letters: Map<string, Uint8Array>
let published: Publication[]
let writes: number
let conflict: boolean

beforeEach(() => {
  ledger = new Map()
  letters = new Map()
  published = []
  looks = 0
  writes = 0
  conflict = false
})

const remember = (commandId: string, state: SendState) =>
  ledger.set(commandId, {
    entry: { command_id: commandId, company_id: COMPANY, fingerprint: 'f', state, written_by: 'w' },
    revision: 1,
  })
const stateOf = (commandId: string) => ledger.get(commandId)?.entry.state

const handler = () =>
  settleByStatus({
    ledger: {
      find: async (_company, commandId) => {
        looks++
        return ledger.get(commandId)
      },
      write: async (entry, revision) => {
        if (conflict) throw new KvConflict('send-ledger', entry.command_id)
        writes++
        const held = { entry, revision: (revision ?? 0) + 1 }
        ledger.set(entry.command_id, held)
        return held
      },
    },
    findGivenUp: async (_company, commandId) => {
      const body = letters.get(commandId)
      return body && { body, remove: async () => letters.delete(commandId) }
    },
    publisher: {
      publish: async (publication) => {
        published.push(publication)
      },
    },
    accepted: createAcceptedCommands(10),
    log: createLog({ service: 'test', level: 'silent' }),
    count: () => {},
    now: () => Date.parse(AT),
    newId: () => 'mine',
  })

const statusOf = (commandId: string | undefined, deliveryCount = 1, status = 'sent'): Delivery => {
  const event = newEvent({
    id: eventId(COMPANY, 'status.updated', 'wamid.1', status),
    source: '/webhook-gateway',
    type: 'status.updated',
    subject: 'wamid.1',
    time: AT,
    companyId: COMPANY,
    channel: 'whatsapp',
    recordedTime: AT,
    data: {
      message_id: 'wamid.1',
      status,
      chat_id: '34608684495',
      ...(commandId === undefined ? {} : { command_id: commandId }),
      raw: {},
    },
  }) as StoredEvent
  return {
    subject: 'x',
    data: encodeEvent(event),
    header: () => undefined,
    headers: () => ({}),
    sequence: 1,
    deliveryCount,
    storedAt: new Date(AT),
  }
}

describe('a status that carries our id', () => {
  test.each(['sent', 'failed'])('proves that a command of unknown outcome was sent: %s', async (status) => {
    remember('c', { status: 'uncertain', attempts: 1, at: AT, error })
    expect(await handler()(statusOf('c', 1, status))).toEqual({ kind: 'ack' })
    expect(stateOf('c')).toMatchObject({
      status: 'accepted',
      receipt: { messageId: 'wamid.1', contact: { phone: '34608684495' } },
    })
    expect(published).toEqual([]) // whoever waits with it in hand tells
  })

  test.each<SendState>([
    { status: 'parked', attempts: 1, at: AT, error },
    { status: 'failed', attempts: 5, at: AT, error, exhausted: true },
  ])('takes a command back from the dead letters that was given up: $status', async (state) => {
    remember('c', state)
    letters.set('c', Buffer.from('{"the":"command"}'))
    expect(await handler()(statusOf('c'))).toEqual({ kind: 'ack' })
    expect(stateOf('c')?.status).toBe('accepted')
    expect(published).toMatchObject([
      { subject: `cmd.send.${COMPANY}.whatsapp`, headers: { 'Settled-By-Status': 'wamid.1' } },
    ])
    expect(letters.size).toBe(0)
  })

  test('waits for the dead letter that follows the parking, even when it was interrupted in between', async () => {
    remember('c', { status: 'parked', attempts: 1, at: AT, error })
    expect((await handler()(statusOf('c'))).kind).toBe('later')
    letters.set('c', Buffer.from('{}'))
    // Another process: it finds the command settled, and does what is left.
    expect(await handler()(statusOf('c', 2))).toEqual({ kind: 'ack' })
    expect([writes, published.length, letters.size]).toEqual([1, 1, 0])
  })

  test('leaves a call that may be under way its own answer first, and settles it when none came', async () => {
    remember('c', { status: 'attempting', attempts: 1, at: AT })
    expect((await handler()(statusOf('c', 1))).kind).toBe('later')
    expect(stateOf('c')?.status).toBe('attempting')
    expect(await handler()(statusOf('c', 5))).toEqual({ kind: 'ack' })
    expect(stateOf('c')?.status).toBe('accepted')
  })

  test('is looked at again when somebody else changed the command meanwhile', async () => {
    remember('c', { status: 'uncertain', attempts: 1, at: AT, error })
    conflict = true
    expect((await handler()(statusOf('c'))).kind).toBe('later')
  })

  test('of an accepted command costs one look into the ledger, not one per status', async () => {
    remember('c', { status: 'accepted', attempts: 1, at: AT, receipt: { messageId: 'wamid.1', response: {} } })
    const settle = handler()
    for (const status of ['sent', 'delivered', 'read']) await settle(statusOf('c', 1, status))
    expect([looks, writes, published.length]).toEqual([1, 0, 0])
  })

  test('of a command that nobody here knows, or of none, is none of ours', async () => {
    const settle = handler()
    expect(await settle(statusOf('unknown'))).toEqual({ kind: 'ack' })
    expect(await settle(statusOf(undefined))).toEqual({ kind: 'ack' })
    remember('reserved', { status: 'none' })
    expect(await settle(statusOf('reserved'))).toEqual({ kind: 'ack' })
    expect([writes, published.length]).toEqual([0, 0])
  })
})

test('only the latest accepted commands are remembered', () => {
  const known = createAcceptedCommands(2)
  known.add(COMPANY, 'a')
  known.add(COMPANY, 'b')
  known.add(COMPANY, 'a')
  known.add(COMPANY, 'c')
  expect(['a', 'b', 'c'].map((id) => known.has(COMPANY, id))).toEqual([true, false, true])
  expect(known.has('another', 'a')).toBe(false)
})
