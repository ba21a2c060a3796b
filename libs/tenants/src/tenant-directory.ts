import { hashApiKey, isApiKey } from './api-keys.ts'
import { createClaims } from './claims.ts'
import { decodeCompanyRecord, isRemoved, UnreadableCompanyRecord } from './company-record.ts'
import { InvalidSettings } from './custom-properties.ts'
import type { SecretsKeys } from './sealed-secrets.ts'
import { type Tenant, tenantOf } from './tenant.ts'

/** Where company records come from: a key-value bucket that tells what is there and what changes. */
export interface TenantSource {
  /**
   * Calls `onValue` for every value and every change (`undefined`: deleted), and `onCurrent` each time everything there
   * is has been told. Values may be told again.
   */
  watch: (handlers: {
    onValue: (companyId: string, value: { value: Uint8Array } | undefined) => void
    onCurrent: () => void
  }) => Promise<() => void>
}

/** What the directory reports of itself; the service's logger fits. */
export interface DirectoryLog {
  info: (line: Record<string, unknown>) => void
  warn: (line: Record<string, unknown>) => void
  error: (line: Record<string, unknown>) => void
}

/** Every tenant, in memory. All questions are answered at once, from what is known now. */
export interface TenantDirectory {
  get: (companyId: string) => Tenant | undefined
  /** @param phoneNumberId the number's id at the channel */
  byPhoneNumberId: (phoneNumberId: string) => Tenant | undefined
  /** @param wabaId the id of the WhatsApp Business account */
  byBusinessId: (wabaId: string) => Tenant | undefined
  all: () => Iterable<Tenant>
  /** False until everything the source has was told for the first time: an unknown company may be one not heard of yet. */
  isLoaded: () => boolean
  /** Calls back after a company appeared, changed, or disappeared. */
  onChange: (listener: (companyId: string) => void) => void
  /** Whose API key it is, and what it allows; undefined for a token that is no valid key. */
  keyOf: (bearerToken: string) => { companyId: string; keyId: string; scopes: readonly string[] } | undefined
  stop: () => void
}

/** Until the watch is asked for again after it could not be had. */
const RETRY_MS = 1_000

/**
 * Fills a directory from a source and keeps it up to date. It does not wait: ask `isLoaded`.
 *
 * - A company goes when it is told deleted or removed, and only then: one that a repeated telling leaves out stays, because
 *   losing tenants to a store that is not whole again yet would refuse their messages.
 * - A record that cannot be read changes nothing: the last good settings stay, and the log says so.
 * - Of two companies that claim one number (or business account), the smaller company id has it, in whatever order they came.
 */
export const createTenantDirectory = async ({
  source,
  keys,
  log,
}: {
  source: TenantSource
  keys: SecretsKeys
  log: DirectoryLog
}): Promise<TenantDirectory> => {
  const tenants = new Map<string, Tenant>()
  const told = new Map<string, Uint8Array>()
  const numbers = createClaims()
  const accounts = createClaims()
  const keysByHash = new Map<string, { companyId: string; keyId: string; scopes: readonly string[] }>()
  const listeners: ((companyId: string) => void)[] = []
  let isLoaded = false
  let isStopped = false
  let stopWatch = () => {}
  let retry: NodeJS.Timeout | undefined

  const forget = (companyId: string) => {
    const tenant = tenants.get(companyId)
    if (tenant === undefined) return
    tenants.delete(companyId)
    for (const { id } of tenant.phoneNumbers) numbers.release(id, companyId)
    if (tenant.businessId !== undefined) accounts.release(tenant.businessId, companyId)
    for (const { hash } of tenant.apiKeys) {
      if (keysByHash.get(hash)?.companyId === companyId) keysByHash.delete(hash)
    }
  }

  const warnOfRivals = (companyId: string, what: string, id: string, claimants: readonly string[]) => {
    if (claimants.length > 1)
      log.warn({ event: 'tenants.claimed_twice', company_id: companyId, [what]: id, claimants, winner: claimants[0] })
  }

  const remember = (tenant: Tenant) => {
    const { companyId } = tenant
    forget(companyId)
    tenants.set(companyId, tenant)
    for (const { id } of tenant.phoneNumbers)
      warnOfRivals(companyId, 'phone_number_id', id, numbers.claim(id, companyId))
    if (tenant.businessId !== undefined)
      warnOfRivals(companyId, 'business_id', tenant.businessId, accounts.claim(tenant.businessId, companyId))
    for (const { id, hash, scopes } of tenant.apiKeys) keysByHash.set(hash, { companyId, keyId: id, scopes })
  }

  /** True when something changed. */
  const apply = (companyId: string, value: Uint8Array | undefined): boolean => {
    const known = told.get(companyId)
    if (value === undefined) {
      told.delete(companyId)
      const wasThere = tenants.has(companyId)
      forget(companyId)
      return wasThere
    }
    // A watch that starts again repeats everything; opening all secrets of all companies again would be for nothing.
    if (known !== undefined && Buffer.compare(known, value) === 0) return false
    told.set(companyId, value)
    try {
      const record = decodeCompanyRecord(companyId, value)
      if (isRemoved(record)) {
        const wasThere = tenants.has(companyId)
        forget(companyId)
        return wasThere
      }
      const { tenant, unreadable } = tenantOf(keys, record)
      for (const { property, reason } of unreadable)
        log.error({ event: 'tenants.secret_unreadable', company_id: companyId, property, reason })
      remember(tenant)
      return true
    } catch (error) {
      if (!(error instanceof UnreadableCompanyRecord || error instanceof InvalidSettings)) throw error
      log.error({
        event: 'tenants.record_unreadable',
        company_id: companyId,
        kept: tenants.has(companyId),
        code: error.code,
        reason: error.message,
      })
      return false
    }
  }

  const tell = (companyId: string) => {
    for (const listener of listeners) {
      try {
        listener(companyId)
      } catch (err) {
        // One listener's fault must not keep the others, or the watch itself, from hearing of changes.
        log.error({ event: 'tenants.listener_failed', company_id: companyId, err })
      }
    }
  }

  const begin = () => {
    source
      .watch({
        onValue: (companyId, value) => {
          if (!isStopped && apply(companyId, value?.value)) tell(companyId)
        },
        onCurrent: () => {
          if (isStopped) return
          if (!isLoaded) log.info({ event: 'tenants.loaded', count: tenants.size })
          isLoaded = true
        },
      })
      .then(
        (stop) => {
          if (isStopped) stop()
          else stopWatch = stop
        },
        (err: unknown) => {
          if (isStopped) return
          log.error({ event: 'tenants.watch_failed', err })
          retry = setTimeout(begin, RETRY_MS)
          retry.unref()
        },
      )
  }
  begin()

  return {
    get: (companyId) => tenants.get(companyId),
    byPhoneNumberId: (id) => tenants.get(numbers.holder(id) ?? ''),
    byBusinessId: (id) => tenants.get(accounts.holder(id) ?? ''),
    all: () => tenants.values(),
    isLoaded: () => isLoaded,
    onChange: (listener) => void listeners.push(listener),
    keyOf: (token) => (isApiKey(token) ? keysByHash.get(hashApiKey(token)) : undefined),
    stop: () => {
      isStopped = true
      clearTimeout(retry)
      stopWatch()
    },
  }
}
