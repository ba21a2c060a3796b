import type { ObjectBucket } from '@cloudapi2/nats'
import type { MediaStore } from './media-store.ts'

/** Files in the NATS object store: nothing else to run, and replicated as the streams are. */
export const natsObjectStore = (bucket: ObjectBucket): MediaStore => ({
  put: bucket.put,
  head: bucket.head,
  get: async (key, range) => (await bucket.get(key, range))?.body,
  delete: async (key) => {
    await bucket.delete(key)
  },
  sweep: bucket.sweep,
  // The connection is whoever opened it's.
  close: async () => {},
})
