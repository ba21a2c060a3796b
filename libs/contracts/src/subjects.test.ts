import fc from 'fast-check'
import { expect, test } from 'vitest'
import { NO_COMPANY, parseSendSubject, subjects, UnsafeSubjectToken } from './subjects.ts'

const COMPANY = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'

test('an event goes to its company, channel, noun and verb', () => {
  expect(subjects.event(COMPANY, 'whatsapp', 'message.created')).toBe(`evt.${COMPANY}.whatsapp.message.created`)
  expect(subjects.event(NO_COMPANY, 'whatsapp', 'webhook.unrecognised')).toBe('evt._.whatsapp.webhook.unrecognised')
})

test('a command goes to its company, or to nobody yet', () => {
  expect(subjects.sendCommand(COMPANY, 'whatsapp')).toBe(`cmd.send.${COMPANY}.whatsapp`)
  expect(parseSendSubject(`cmd.send.${COMPANY}.whatsapp`)).toEqual({ company_id: COMPANY, channel: 'whatsapp' })
  expect(parseSendSubject('cmd.send._.whatsapp')).toEqual({ company_id: undefined, channel: 'whatsapp' })
  expect(parseSendSubject('cmd.send.a.b.c')).toBeUndefined()
})

test('a hostile company, channel or type never becomes part of a subject', () => {
  const hostile = fc.oneof(fc.string(), fc.constantFrom('>', '*', 'a.>', '$JS', ' ', '\r\nPUB x', `${COMPANY}.>`))
  fc.assert(
    fc.property(hostile, hostile, hostile, (company, channel, type) => {
      let subject: string
      try {
        subject = subjects.event(company, channel, type)
      } catch (error) {
        expect(error).toBeInstanceOf(UnsafeSubjectToken)
        return
      }
      expect(subject).toMatch(/^evt\.[0-9a-f_-]+\.[a-z0-9_-]+\.[a-z0-9_]+\.[a-z0-9_]+$/)
    }),
  )
})

test('a dead letter of a company that is none goes to the rest', () => {
  expect(subjects.deadLetter('sender', 'what.>ever')).toBe('dlq.sender._')
})
