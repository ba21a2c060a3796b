import { BUCKETS, type Nats, readStream } from '@cloudapi2/nats'
import { IndexEntry } from '../index/index-entry.ts'
import type { IndexedFile } from './old-files.ts'

/** Every file of a company that the index knows, in constant memory. */
export type IndexedFiles = (companyId: string) => AsyncIterable<IndexedFile>

/** @throws StreamUnreadable when the index cannot be read */
export const indexedFiles = (nats: Nats): IndexedFiles =>
  async function* (companyId) {
    const prefix = `$KV.${BUCKETS.mediaIndex}.${companyId}.`
    for await (const messages of readStream(nats, `KV_${BUCKETS.mediaIndex}`, { filterSubjects: [`${prefix}*`] })) {
      for (const { subject, data, sequence, storedAtMs } of messages) {
        if (data.length === 0) continue // forgotten
        yield {
          mediaId: subject.slice(prefix.length),
          revision: sequence,
          entry: IndexEntry.parse(JSON.parse(Buffer.from(data).toString())),
          indexedAtMs: storedAtMs,
        }
      }
    }
  }
