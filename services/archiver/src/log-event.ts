import type { StoredMessage } from '@cloudapi2/nats'

/** A message of EVENTS as the log knows it: by the subject it was stored under, whatever its body says. */
export interface LogEvent {
  companyId: string
  channel: string
  type: string
  /** Its sequence in EVENTS. */
  position: number
  body: Uint8Array
  storedAtMs: number
}

/** The subject is `evt.<company_id>.<channel>.<noun>.<verb>`; whatever is shorter gets empty tokens. */
export const logEventOf = ({ subject, data, sequence, storedAtMs }: StoredMessage): LogEvent => {
  const [, companyId = '', channel = '', ...type] = subject.split('.')
  return { companyId, channel, type: type.join('.'), position: sequence, body: data, storedAtMs }
}
