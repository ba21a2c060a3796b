import type { Logger } from '@cloudapi2/service-kit'
import pg from 'pg'

/** The channel the trigger of migration 0001 notifies. */
const CHANNEL = 'gateway_companies'
const FIRST_RETRY_MS = 250
const LONGEST_RETRY_MS = 5_000
/** A connection that says nothing may be dead without anybody having closed it. */
const PROBE_MS = 10_000

export interface TableChanges {
  isConnected: () => boolean
  stop: () => Promise<void>
}

/**
 * Listens for changes of `public.companies`, on a connection of its own that comes back by itself.
 *
 * @param onChange    gets the company's id; undefined when any may have changed
 * @param onConnected after each connection: what changed before it was not heard
 */
export const listenForChanges = ({
  databaseUrl,
  log,
  onChange,
  onConnected,
}: {
  databaseUrl: string
  log: Logger
  onChange: (companyId: string | undefined) => void
  onConnected: () => void
}): TableChanges => {
  let isConnected = false
  let isStopped = false
  let client: pg.Client | undefined
  let retry: NodeJS.Timeout | undefined
  let failures = 0

  const connect = async () => {
    const mine = new pg.Client({
      connectionString: databaseUrl,
      application_name: 'tenant-config changes',
      connectionTimeoutMillis: 3_000,
      query_timeout: 5_000,
      keepAlive: true,
    })
    client = mine
    let isLost = false
    const lost = (reason: string) => {
      if (isLost || isStopped) return
      isLost = true
      isConnected = false
      clearInterval(probe)
      log.warn({ event: 'table_changes.disconnected', reason })
      // It may hang rather than be closed; whatever comes of ending it is no news.
      mine.end().catch(() => {})
      retry = setTimeout(() => void connect(), Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures++))
      retry.unref()
    }
    const probe = setInterval(() => {
      if (isConnected) mine.query('select 1').catch((error: Error) => lost(error.message))
    }, PROBE_MS)
    probe.unref()
    mine.on('error', (error) => lost(error.message))
    mine.on('end', () => {
      clearInterval(probe)
      lost('the connection was closed')
    })
    mine.on('notification', ({ payload }) => onChange(payload || undefined))
    try {
      await mine.connect()
      await mine.query(`listen ${CHANNEL}`)
    } catch (error) {
      const { code, message } = error as { code?: string; message: string }
      return lost(code ?? message)
    }
    if (isLost || isStopped) return
    failures = 0
    isConnected = true
    log.info({ event: 'table_changes.connected' })
    onConnected()
  }
  void connect()

  return {
    isConnected: () => isConnected,
    stop: async () => {
      isStopped = true
      isConnected = false
      clearTimeout(retry)
      await client?.end().catch(() => {}) // never connected, or lost already
    },
  }
}
