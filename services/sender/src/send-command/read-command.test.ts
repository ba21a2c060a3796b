import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readCommand, replySubject } from './read-command.ts'

const company = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
const command = { id: 'c-1', channel: 'whatsapp', to: '608684495', message: { type: 'text', text: 'hi' } }
const read = (body: unknown, subject = `cmd.send.${company}.whatsapp`) =>
  readCommand(subject, Buffer.from(JSON.stringify(body)))
const pathsOf = (result: ReturnType<typeof read>) => (result.ok ? [] : result.fields.map(({ path }) => path))

describe('the company of a command', () => {
  test('is the subject’s', () => expect(read(command)).toMatchObject({ ok: true, command: { company_id: company } }))
  test('may stand in the body alone', () =>
    expect(read({ ...command, company_id: company }, 'cmd.send._.whatsapp')).toMatchObject({
      command: { company_id: company },
    }))
  test('may be left to be found out', () => {
    const result = read(command, 'cmd.send._.whatsapp')
    expect(result.ok && result.command.company_id).toBeUndefined()
  })
  test('must not be two', () =>
    expect(pathsOf(read({ ...command, company_id: company.replace('a', 'b') }))).toEqual(['company_id']))
})

test('what is wrong is named, and the id kept for the answer where it can be', () => {
  expect(read({ ...command, to: undefined })).toMatchObject({ ok: false, commandId: 'c-1', companyId: company })
  expect(pathsOf(read({ ...command, to: undefined, message: { type: 'text' } }))).toEqual(['to', 'message.text'])
  expect(read({ ...command, id: 'with space' })).toMatchObject({ ok: false, commandId: undefined })
  expect(pathsOf(read(command, 'cmd.send.x.y.z'))).toEqual(['subject'])
  expect(pathsOf(read(command, `cmd.send.${company}.sms`))).toEqual(['channel'])
})

test('anything at all is read or refused, never thrown at', () => {
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), fc.string(), (body, subject) => {
      for (const on of [subject, `cmd.send.${company}.whatsapp`])
        expect(typeof readCommand(on, Buffer.from(body)).ok).toBe('boolean')
    }),
  )
})

test('an answer goes to an inbox and nowhere else', () => {
  expect(replySubject('_INBOX.billing.abc.1')).toBe('_INBOX.billing.abc.1')
  for (const subject of [
    undefined,
    '',
    '_INBOX',
    '_INBOX.>',
    '_INBOX.*',
    `evt.${company}.whatsapp.send.failed`,
    '_INBOX.a b',
  ])
    expect(replySubject(subject)).toBeUndefined()
})
