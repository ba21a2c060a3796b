import { type DeadLetter, letterWhole } from '@cloudapi2/nats'
import { type Column, printable, record } from '../output/table.ts'

export const LIST_COLUMNS: readonly Column<DeadLetter>[] = [
  { title: 'ID', of: ({ id }) => id },
  { title: 'GIVEN UP', of: ({ failed_at }) => failed_at.slice(0, 19).replace('T', ' ') },
  { title: 'SERVICE', of: ({ service }) => service },
  { title: 'COMPANY', of: ({ company_id }) => company_id },
  { title: 'CODE', of: ({ code }) => code },
  { title: 'ATTEMPTS', of: ({ attempts }) => attempts },
  { title: 'COMMAND', of: ({ command_id }) => command_id },
  { title: 'REASON', of: ({ reason }) => reason },
]

/** One letter for the eye, its content included. */
export const letterText = (letter: DeadLetter): string => {
  const { body } = letterWhole(letter)
  const content = typeof body === 'string' ? body : JSON.stringify(body, null, 2)
  return `${record({
    id: letter.id,
    'given up': letter.failed_at,
    service: letter.service,
    company: letter.company_id,
    code: letter.code,
    reason: letter.reason,
    attempts: letter.attempts,
    command: letter.command_id,
    'came from': `${letter.subject} (${letter.stream}, sequence ${letter.sequence})`,
  })}\n\n${content.split('\n').map(printable).join('\n')}`
}

/** What became of one letter. */
export interface Done {
  id: number
  outcome: 'redriven' | 'discarded' | 'refused' | 'not_found'
  command_id?: string
  /** Why it was refused. */
  code?: string
  message?: string
}

export const DONE_COLUMNS: readonly Column<Done>[] = [
  { title: 'ID', of: ({ id }) => id },
  { title: 'OUTCOME', of: ({ outcome }) => outcome.replace('_', ' ') },
  { title: 'COMMAND', of: ({ command_id }) => command_id },
  { title: 'WHY', of: ({ message, code }) => (message === undefined ? '' : `${message} (${code})`) },
]
