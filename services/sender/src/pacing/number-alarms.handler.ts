import { eventId, newEvent, type StoredEvent } from '@cloudapi2/contracts'
import { eventPublication, type Publisher } from '@cloudapi2/nats'
import type { Logger } from '@cloudapi2/service-kit'
import { SOURCE } from '../send-command/facts.ts'
import { type Pause, untilDone } from '../send-command/persistence.ts'
import type { NumberChange } from './pacing.ts'

type PauseChange = Extract<NumberChange, { kind: 'paused' | 'resumed' }>

/**
 * Tells of what happens to numbers: everything in the service's log and its metrics; in the event log that a number
 * pauses, which wants an operator, and that it has resumed.
 */
export const numberAlarms =
  (deps: {
    channel: string
    publisher: Pick<Publisher, 'publish'>
    log: Logger
    count: (change: NumberChange['kind']) => void
    now: () => number
    pause: Pause
    /** Aborts when the service stops: whoever has the number next finds it paused, and tells. */
    stopping: AbortSignal
  }): ((change: NumberChange) => void) =>
  (change) => {
    const { log, stopping } = deps
    const { kind, companyId: company_id, phoneNumberId: phone_number_id } = change
    deps.count(kind)
    switch (kind) {
      case 'paused':
        log.warn({ event: 'number.paused', company_id, phone_number_id, code: change.error.code })
        break
      case 'resumed':
        log.info({ event: 'number.resumed', company_id, phone_number_id, code: change.error.code, by: change.by })
        break
      case 'down':
        log.warn({ event: 'number.circuit_opened', company_id, phone_number_id })
        return
      case 'up':
        log.info({ event: 'number.circuit_closed', company_id, phone_number_id })
        return
      case 'throttled': {
        const { stopMs: stop_ms, level } = change
        log.warn({ event: 'number.throttled', company_id, phone_number_id, stop_ms, level })
        return
      }
    }
    const event = eventOf(change, deps.channel, new Date(deps.now()).toISOString())
    untilDone(() => deps.publisher.publish(eventPublication(event)), {
      pause: deps.pause,
      signal: stopping,
      onFailure: (err, tries) => log.warn({ event: 'store.retried', what: event.type, phone_number_id, tries, err }),
    }).catch((err: unknown) => {
      if (!stopping.aborted) log.error({ event: 'number.change_not_stored', what: event.type, phone_number_id, err })
    })
  }

/** The event to store. One pause has one id, and its end another, made of the call that began it. */
export const eventOf = (change: PauseChange, channel: string, at: string): StoredEvent => {
  const { companyId, phoneNumberId, error, cause } = change
  const common = { source: SOURCE, companyId, channel, subject: phoneNumberId, time: at, recordedTime: at }
  const about = { phone_number_id: phoneNumberId, code: error.code, title: error.title }
  if (change.kind === 'resumed')
    return newEvent({
      ...common,
      id: eventId(companyId, 'number.resumed', phoneNumberId, cause),
      type: 'number.resumed',
      data: { ...about, by: change.by },
    }) as StoredEvent
  const { action, details } = error
  return newEvent({
    ...common,
    id: eventId(companyId, 'number.paused', phoneNumberId, cause),
    type: 'number.paused',
    data: {
      ...about,
      ...(details === undefined ? {} : { details }),
      ...(action === undefined ? {} : { action }),
    },
  }) as StoredEvent
}
