import { BUCKETS, type Nats } from '@cloudapi2/nats'
import type { LedgerOptions } from './ledger.store.ts'

const SUBJECT_PREFIX = `$KV.${BUCKETS.sendLedger}`

/**
 * Looks for a key by pattern, which the client's key-value view cannot: the server's direct get takes a wildcard.
 *
 * @see https://docs.nats.io/nats-concepts/jetstream (direct get, `next_by_subj`)
 */
export const ledgerSearch =
  (nats: Nats, { timeoutMs }: { timeoutMs: number }): LedgerOptions['findFirst'] =>
  async (pattern) => {
    const found = await nats.request(
      `$JS.API.DIRECT.GET.KV_${BUCKETS.sendLedger}`,
      JSON.stringify({ seq: 1, next_by_subj: `${SUBJECT_PREFIX}.${pattern}` }),
      timeoutMs,
    )
    return found.length === 0 ? undefined : found // nothing found is a status without a body
  }
