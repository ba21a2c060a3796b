import type { DeadLetter } from './dead-letters.ts'

/** A dead letter as a list shows it: without its content, so that a list never shows a text or a phone number. */
export const letterSummary = (letter: DeadLetter) => ({
  id: letter.id,
  service: letter.service,
  company_id: letter.company_id ?? null,
  code: letter.code,
  reason: letter.reason,
  attempts: letter.attempts,
  failed_at: letter.failed_at,
  command_id: letter.command_id ?? null,
  stream: letter.stream,
  sequence: letter.sequence,
})

const decoder = new TextDecoder()

/** The whole of it. `body`: the original message, as text where it is no JSON. */
export const letterWhole = (letter: DeadLetter) => ({
  ...letterSummary(letter),
  subject: letter.subject,
  headers: letter.headers,
  body: jsonOrText(decoder.decode(letter.body)),
})

const jsonOrText = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text // it may have been given up just because it is no JSON
  }
}
