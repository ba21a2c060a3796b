import type { SendCommand } from '@cloudapi2/contracts'
import { type KvBucket, KvConflict } from '@cloudapi2/nats'
import { attributionKey, ledgerKey, ledgerPrefix } from './command-name.ts'
import { decodeEntry, encodeEntry, type LedgerEntry } from './ledger-entry.ts'

/** An entry and the revision that a change of it must name; `undefined`: it is not stored yet. */
export interface Held {
  entry: LedgerEntry
  revision: number | undefined
}

/** To whom a command without a company was attributed. */
export interface Attribution {
  company_id: string
  phone_number_id?: string
}

export interface Ledger {
  find: (companyId: string, commandId: string) => Promise<Held | undefined>
  /** The first company's command of this name, for a caller that may see every company's. */
  findOfAnyCompany: (commandId: string) => Promise<LedgerEntry | undefined>
  /** Takes a name for a command; `isNew` is false when it was taken before. */
  reserve: (entry: LedgerEntry) => Promise<Held & { isNew: boolean }>
  /**
   * Safe to repeat after a failure with the same `written_by`.
   *
   * @throws KvConflict when somebody else changed the entry since it was read
   */
  write: (entry: LedgerEntry, revision: number | undefined) => Promise<Held>
  /** Keeps the first attribution of a command, and returns it whoever made it. */
  attribute: (command: SendCommand, found: Attribution) => Promise<Attribution>
  attributionOf: (command: SendCommand) => Promise<Attribution | undefined>
}

export interface LedgerOptions {
  bucket: KvBucket
  /** The first value of the bucket whose key matches; undefined when there is none. */
  findFirst: (pattern: string) => Promise<Uint8Array | undefined>
}

/** The ledger in a key-value bucket, each change by compare-and-set. */
export const createLedger = ({ bucket, findFirst }: LedgerOptions): Ledger => {
  const find = async (companyId: string, commandId: string): Promise<Held | undefined> => {
    const stored = await bucket.get(ledgerKey(companyId, commandId))
    return stored && { entry: decodeEntry(stored.value), revision: stored.revision }
  }

  const write: Ledger['write'] = async (entry, revision) => {
    const key = ledgerKey(entry.company_id, entry.command_id)
    try {
      const value = encodeEntry(entry)
      return {
        entry,
        revision: await (revision === undefined ? bucket.create(key, value) : bucket.update(key, value, revision)),
      }
    } catch (error) {
      // A write whose confirmation was lost may have been stored: then it is there, under a new revision.
      const stored = await find(entry.company_id, entry.command_id)
      if (stored?.entry.written_by === entry.written_by) return stored
      throw error
    }
  }

  const attributionOf = async (command: SendCommand): Promise<Attribution | undefined> => {
    const stored = await bucket.get(attributionKey(command))
    return stored && (JSON.parse(new TextDecoder().decode(stored.value)) as Attribution)
  }

  return {
    find,
    write,
    attributionOf,
    findOfAnyCompany: async (commandId) => {
      const value = await findFirst(`${ledgerPrefix(commandId)}.*`)
      return value && decodeEntry(value)
    },
    reserve: async (entry) => {
      try {
        return { ...(await write(entry, undefined)), isNew: true }
      } catch (error) {
        if (!(error instanceof KvConflict)) throw error
        const stored = await find(entry.company_id, entry.command_id)
        if (stored === undefined) throw error // gone since: it expired in this very moment
        return { ...stored, isNew: false }
      }
    },
    attribute: async (command, found) => {
      try {
        await bucket.create(attributionKey(command), JSON.stringify(found))
        return found
      } catch (error) {
        const first = await attributionOf(command)
        if (first === undefined) throw error
        return first
      }
    },
  }
}
