import type { KvBucket } from '@cloudapi2/nats'
import type { Logger } from '@cloudapi2/service-kit'
import type { Tenant } from '@cloudapi2/tenants'
import { z } from 'zod'
import type { Channel, TemplateDefinition } from '../channel/channel.ts'

/** A definition is asked for again after this: templates are edited now and then, and a wrong one is refused by Meta. */
const FRESH_MS = 3_600_000
/** So long nobody asks again for what could not be had: each command would wait for it. */
const ABSENT_MS = 60_000
/** Definitions kept in memory at most. */
const MAX_IN_MEMORY = 10_000

const Kept = z.object({ fetched_at: z.iso.datetime(), definition: z.record(z.string(), z.unknown()) })

/** The definition of a company's template; undefined when it cannot be had: the message is built without it then. */
export type FindTemplate = (tenant: Tenant, name: string, language: string) => Promise<TemplateDefinition | undefined>

/**
 * Template definitions, fetched from the channel once and kept: in memory for this process, in a bucket for all.
 * Whatever goes wrong here never stops a message; the channel has the last word on it.
 */
export const templateStore = (deps: {
  bucket: Pick<KvBucket, 'get' | 'put'>
  channel: Pick<Channel, 'fetchTemplate'>
  log: Logger
  now: () => number
}): FindTemplate => {
  const { bucket, channel, log, now } = deps
  const inMemory = new Map<string, { definition: TemplateDefinition | undefined; until: number }>()
  const asked = new Map<string, Promise<TemplateDefinition | undefined>>()

  const remember = (key: string, definition: TemplateDefinition | undefined, until: number) => {
    if (inMemory.size >= MAX_IN_MEMORY) inMemory.delete(inMemory.keys().next().value as string)
    inMemory.set(key, { definition, until })
    return definition
  }

  const fromBucket = async (key: string) => {
    const stored = await bucket.get(key)
    if (stored === undefined) return undefined
    const { success, data } = Kept.safeParse(JSON.parse(new TextDecoder().decode(stored.value)))
    if (!success) return undefined // written by another version
    const until = Date.parse(data.fetched_at) + FRESH_MS
    return until > now() ? { definition: data.definition, until } : undefined
  }

  const find = async (key: string, tenant: Tenant, name: string, language: string) => {
    try {
      const kept = await fromBucket(key)
      if (kept !== undefined) return remember(key, kept.definition, kept.until)
      const { businessId, accessToken: token } = tenant
      if (businessId === undefined || token === undefined) return remember(key, undefined, now() + ABSENT_MS)
      const definition = await channel.fetchTemplate({ businessId, token, name, language })
      if (definition === undefined) return remember(key, undefined, now() + ABSENT_MS)
      await bucket.put(key, JSON.stringify({ fetched_at: new Date(now()).toISOString(), definition }))
      return remember(key, definition, now() + FRESH_MS)
    } catch (err) {
      log.warn({ event: 'template.not_fetched', company_id: tenant.companyId, template: name, language, err })
      return remember(key, undefined, now() + ABSENT_MS)
    }
  }

  return (tenant, name, language) => {
    const key = `${tenant.companyId}.${name}.${language}`
    const known = inMemory.get(key)
    if (known !== undefined && known.until > now()) return Promise.resolve(known.definition)
    const underWay = asked.get(key)
    if (underWay !== undefined) return underWay
    const asking = find(key, tenant, name, language).finally(() => asked.delete(key))
    asked.set(key, asking)
    return asking
  }
}
