import { subjects } from '@cloudapi2/contracts'
import { consumePermissions, EVENTS, type ServicePermissions } from '@cloudapi2/nats'
import { validName } from './event-selection.ts'

export interface ClientRights {
  /** The `name` the client connects under. */
  name: string
  /** In whose name it may send; `_`: in anybody's, by number or conversation. */
  companyIds?: readonly string[]
  /** Names of the places in the log it may keep. Whoever may consume events may read every company's. */
  durables?: readonly string[]
  /** Without a name it may read only as anybody: that is the right to make and remove every consumer of the log. */
  mayReadWithoutName?: boolean
}

/** What a NATS user needs for this client: no more than that. */
export const clientPermissions = (rights: ClientRights): ServicePermissions => {
  const { companyIds = [], durables = [], mayReadWithoutName = false } = rights
  const name = validName('name', rights.name)
  const consumers = [...durables.map((durable) => validName('durable', durable)), ...(mayReadWithoutName ? ['*'] : [])]
  return {
    publish: [
      ...companyIds.map(subjects.sendCommandsOf),
      ...(consumers.length === 0 ? [] : [`$JS.API.STREAM.INFO.${EVENTS}`]),
      ...consumers.flatMap((consumer) => consumePermissions(EVENTS, consumer)),
      ...(mayReadWithoutName ? [`$JS.API.CONSUMER.DELETE.${EVENTS}.*`] : []),
    ],
    subscribe: [`_INBOX.${name}.>`],
  }
}
