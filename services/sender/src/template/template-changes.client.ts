import { subjects } from '@cloudapi2/contracts'
import type { Nats } from '@cloudapi2/nats'
import type { Logger } from '@cloudapi2/service-kit'
import { z } from 'zod'
import type { Channel } from '../channel/channel.ts'
import type { Templates } from './templates.store.ts'

const Notification = z.object({ companyid: z.string(), data: z.object({ field: z.string(), raw: z.unknown() }) })

/**
 * Hears of every change of a template as it is stored, in every process: what was known of it is forgotten. What was
 * missed while the connection was away is in nobody's memory after it.
 *
 * @returns how to stop
 */
export const hearTemplateChanges = ({
  nats,
  channel,
  templates,
  log,
}: {
  nats: Pick<Nats, 'subscribe' | 'onConnectionChange'>
  channel: Pick<Channel, 'changedTemplate'>
  templates: Pick<Templates, 'forget' | 'forgetMemory'>
  log: Logger
}): (() => void) => {
  const stopHearing = nats.subscribe(subjects.eventsOfType('account.notified'), ({ data }) => {
    const event = read(data)
    const template = event && channel.changedTemplate(event.data.field, event.data.raw)
    if (event === undefined || template === undefined) return
    log.info({
      event: 'template.changed',
      company_id: event.companyid,
      template: template.name,
      field: event.data.field,
    })
    void templates.forget(event.companyid, template)
  })
  const stopWatching = nats.onConnectionChange((isConnected) => {
    if (isConnected) templates.forgetMemory()
  })
  return () => {
    stopHearing()
    stopWatching()
  }
}

const read = (data: Uint8Array): z.infer<typeof Notification> | undefined => {
  try {
    return Notification.safeParse(JSON.parse(new TextDecoder().decode(data))).data
  } catch {
    return undefined // not ours to complain about: whoever folds the log makes a dead letter of it
  }
}
