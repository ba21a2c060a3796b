import type { FastifyBaseLogger } from 'fastify'
import { Agent, request } from 'undici'
import { type Faults, isAnswerLost, webhookFault } from './faults.ts'
import type { Random } from './random.ts'
import { metaJson, signatureOf } from './signed-body.ts'
import type { Tenant, TenantDirectory } from './tenants.ts'
import type { Timers } from './timers.ts'
import { retryDelayMs, type Timing } from './timing.ts'

/** `status` is the HTTP status of the tenant's answer, null when there was none. */
export type Delivered = { delivered: boolean; status: number | null }

interface Webhook {
  companyId: string
  bytes: string
  isRetried: boolean
  isRepeated: boolean
  failures: number
  startedAtMs: number
  onFirstAttempt: ((result: Delivered) => void) | undefined
}

interface Dependencies {
  directory: TenantDirectory
  timing: () => Timing
  faults: () => Faults
  random: Random
  timers: Timers
  clock: () => number
  log: FastifyBaseLogger
  /** Deliveries under way at once. */
  concurrency: number
}

/** First in, first out; `shift` of a long array would move all of it each time. */
const createQueue = <T>() => {
  let items: T[] = []
  let head = 0
  return {
    size: () => items.length - head,
    push: (item: T) => items.push(item),
    shift: (): T | undefined => {
      if (head === items.length) return undefined
      const item = items[head]
      head += 1
      if (head > 1_024 && head * 2 > items.length) {
        items = items.slice(head)
        head = 0
      }
      return item
    },
  }
}

/**
 * Delivers webhooks as Meta does: signed over the bytes sent, only a 200 counts, everything else is tried again at growing
 * distances for 7 days. What waits for its next try takes none of the places of those under way, so a tenant that is down
 * holds up nobody. Order is not kept.
 */
export const createWebhookDelivery = (dependencies: Dependencies) => {
  const { directory, timing, faults, random, timers, clock, log, concurrency } = dependencies
  const agent = new Agent({ connections: concurrency, pipelining: 1 })
  const ready = createQueue<Webhook>()
  const waiting = new Map<Webhook, () => void>()
  const failing = new Set<string>()
  const counters = { delivered: 0, attempts: 0, failed_attempts: 0, given_up: 0 }
  let underWay = 0
  let delayed = 0
  let isClosed = false

  const post = async ({ companyId, bytes }: Webhook): Promise<number | null> => {
    const tenant = directory.byCompany(companyId)
    if (!tenant) return null
    const { statusCode, body } = await request(tenant.webhook_url, {
      method: 'POST',
      dispatcher: agent,
      headersTimeout: timing().webhook_timeout_ms,
      bodyTimeout: timing().webhook_timeout_ms,
      headers: {
        'content-type': 'application/json',
        'user-agent': 'facebookexternalua',
        // Signed with the secret of the moment: a retry after a rotation carries the new one.
        'x-hub-signature-256': signatureOf(bytes, tenant.app_secret),
      },
      body: bytes,
    })
    await body.dump()
    return isAnswerLost(faults(), random) ? null : statusCode
  }

  const enqueue = (webhook: Webhook) => {
    ready.push(webhook)
    pump()
  }

  const onSuccess = (webhook: Webhook) => {
    counters.delivered += 1
    if (failing.delete(webhook.companyId)) log.info({ event: 'webhooks.recovered', company_id: webhook.companyId })
    if (webhook.isRepeated) enqueue({ ...webhook, isRepeated: false, failures: 0, onFirstAttempt: undefined })
  }

  const onFailure = (webhook: Webhook, status: number | null, cause: unknown) => {
    const { companyId, failures, startedAtMs } = webhook
    counters.failed_attempts += 1
    const reason = cause instanceof Error ? ((cause as { code?: string }).code ?? cause.name) : null
    const line = { event: 'webhook.failed', company_id: companyId, status, reason, failures }
    if (failing.has(companyId)) log.debug(line)
    else log.warn(line)
    failing.add(companyId)
    const isGivenUp = clock() - startedAtMs >= timing().retry_for_ms || directory.byCompany(companyId) === undefined
    if (!webhook.isRetried || isGivenUp) {
      counters.given_up += 1
      return
    }
    const retry = () => {
      waiting.delete(webhook)
      enqueue(webhook)
    }
    const cancel = timers.after(retryDelayMs(failures, timing()), retry)
    waiting.set(webhook, () => {
      cancel()
      retry()
    })
  }

  const attempt = async (webhook: Webhook): Promise<void> => {
    let status: number | null = null
    let cause: unknown
    counters.attempts += 1
    try {
      status = await post(webhook)
    } catch (error) {
      cause = error
    }
    webhook.onFirstAttempt?.({ delivered: status === 200, status })
    webhook.onFirstAttempt = undefined
    if (isClosed) return
    if (status === 200) onSuccess(webhook)
    else {
      webhook.failures += 1
      onFailure(webhook, status, cause)
    }
  }

  const pump = (): void => {
    while (underWay < concurrency && ready.size() > 0 && !isClosed) {
      underWay += 1
      void attempt(ready.shift() as Webhook).finally(() => {
        underWay -= 1
        pump()
      })
    }
  }

  const later = (delayMs: number, act: () => void): void => {
    delayed += 1
    timers.after(delayMs, () => {
      delayed -= 1
      act()
    })
  }

  /**
   * @param isRetried false: one attempt only
   * @returns how the first attempt went; never rejects
   */
  const send = (companyId: string, body: unknown, { isRetried = true } = {}): Promise<Delivered> =>
    new Promise((resolve) => {
      const { delayMs, isRepeated } = webhookFault(faults(), random)
      const webhook: Webhook = {
        companyId,
        bytes: metaJson(body),
        isRetried,
        isRepeated,
        failures: 0,
        startedAtMs: clock(),
        onFirstAttempt: resolve,
      }
      if (delayMs === 0) enqueue(webhook)
      else later(delayMs, () => enqueue(webhook))
    })

  return {
    send,
    /** Sends what `body` makes when the time has come, unless the tenant is no more. */
    sendLater: (companyId: string, delayMs: number, body: (tenant: Tenant) => unknown): void =>
      later(delayMs, () => {
        const tenant = directory.byCompany(companyId)
        if (tenant) void send(companyId, body(tenant))
      }),
    /** Tries everything that waits for its next attempt at once. @returns how many */
    retryNow: (): number => {
      const all = [...waiting.values()]
      for (const hurry of all) hurry()
      return all.length
    },
    stats: () => ({
      /** Everything that is still to reach a tenant, statuses whose time has not come included. */
      pending: ready.size() + underWay + waiting.size + delayed,
      waiting_for_retry: waiting.size,
      under_way: underWay,
      ...counters,
    }),
    close: async (): Promise<void> => {
      isClosed = true
      for (let left = ready.shift(); left; left = ready.shift())
        left.onFirstAttempt?.({ delivered: false, status: null })
      await agent.destroy()
    },
  }
}
export type WebhookDelivery = ReturnType<typeof createWebhookDelivery>
