import { eventId, newEvent, SYSTEM_CHANNEL } from '@cloudapi2/contracts'
import { eventPublication, type Publication } from '@cloudapi2/nats'
import type { RetentionRun } from '@cloudapi2/read-model'

/** What a run removed, as the log is told. One per company and watermark, however often it is told. */
export const retentionApplied = (
  { company_id, before, retention_days, removed }: RetentionRun,
  now: number,
): Publication => {
  const at = new Date(now).toISOString()
  const { messages, sends, media, contacts } = removed
  const event = newEvent({
    id: eventId(company_id, 'retention.applied', company_id, before),
    source: '/projector',
    type: 'retention.applied',
    subject: company_id,
    time: at,
    companyId: company_id,
    channel: SYSTEM_CHANNEL,
    recordedTime: at,
    data: { before, retention_days, removed: { messages, sends, media, contacts } },
  })
  return eventPublication(event)
}
