import { decodeEvent } from '@cloudapi2/contracts'
import { ack, type Delivery, type Outcome } from '@cloudapi2/nats'
import { entryOf } from './index-entry.ts'
import type { MediaIndex } from './media-index.store.ts'

/** Brings what the log says about a file into the index. Safe to redeliver in any order. */
export const rememberMedia =
  (index: Pick<MediaIndex, 'learn'>) =>
  async ({ data }: Delivery): Promise<Outcome> => {
    const told = entryOf(decodeEvent(data))
    if (told !== undefined) await index.learn(told.companyId, told.mediaId, told.entry)
    return ack
  }
