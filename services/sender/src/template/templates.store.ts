import { isDeepStrictEqual } from 'node:util'
import type { KvBucket } from '@cloudapi2/nats'
import type { Logger } from '@cloudapi2/service-kit'
import type { Tenant } from '@cloudapi2/tenants'
import { z } from 'zod'
import type { Channel, FetchedTemplate, TemplateKnowledge, TemplateName } from '../channel/channel.ts'

/** A definition is asked for again after this, should its change not have been told. */
const FRESH_MS = 3_600_000
/**
 * So long nobody asks again for what could not be had, does not exist or cannot be sent: each command would ask. It is
 * also how long a template may be refused that is ready by now, where webhooks do not tell of it.
 */
const DOUBTFUL_MS = 60_000
/** A template that Meta doubts is asked for once in this time, however many commands it was refused to. */
const REVIEW_MS = 5_000
/** Definitions kept in memory at most. */
const MAX_IN_MEMORY = 10_000

/** What is kept of a template, by any version of this software that writes definitions like this. */
const FORMAT = 2
const Kept = z.object({
  format: z.literal(FORMAT),
  fetched_at: z.iso.datetime(),
  definition: z.record(z.string(), z.unknown()),
})

export interface Templates {
  /** What is known of a company's template. `unknown` when it cannot be had: the message is built without it then. */
  find: (tenant: Tenant, template: TemplateName) => Promise<TemplateKnowledge>
  /**
   * Asks anew for a template that the channel doubts.
   *
   * @param used what the refused message was built with
   * @returns whether it is known otherwise now
   */
  review: (tenant: Tenant, template: TemplateName, used: TemplateKnowledge) => Promise<boolean>
  /** It has changed at the channel: whatever is known of it counts no more, here and in the bucket. */
  forget: (companyId: string, template: TemplateName) => Promise<void>
  /** Changes may have been missed: what the bucket has counts. */
  forgetMemory: () => void
}

interface Known {
  knowledge: TemplateKnowledge
  until: number
}

const TOKEN = /^[a-z0-9_]{1,512}$/
/** Keys of a bucket take few characters; what a raw message may have for a name takes any. */
const tokenOf = (text: string): string => (TOKEN.test(text) ? text : `=${Buffer.from(text).toString('base64url')}`)
const keyOf = (companyId: string, { name, language }: TemplateName): string =>
  `${companyId}.${tokenOf(name)}.${tokenOf(language)}`

const UNKNOWN: TemplateKnowledge = { kind: 'unknown' }

/**
 * Template definitions, fetched from the channel once and kept: in memory for this process, in a bucket for all. What
 * cannot be had never stops a message; the channel has the last word on it.
 */
export const templateStore = (deps: {
  bucket: Pick<KvBucket, 'get' | 'put' | 'delete'>
  channel: Pick<Channel, 'fetchTemplates'>
  log: Logger
  now: () => number
}): Templates => {
  const { bucket, channel, log, now } = deps
  const inMemory = new Map<string, Known>()
  const asked = new Map<string, Promise<TemplateKnowledge>>()
  /** Being taken out of the bucket: until that is done, what it has may be what it was before. */
  const leaving = new Map<string, Promise<void>>()
  const reviewedAt = new Map<string, number>()
  const warnedAt = new Map<string, number>()

  const bounded = <Value>(map: Map<string, Value>, key: string, value: Value): Value => {
    if (map.size >= MAX_IN_MEMORY && !map.has(key)) map.delete(map.keys().next().value as string)
    map.set(key, value)
    return value
  }

  /** Once per company and while: it is the same for all its templates, and for every message. */
  const warn = (companyId: string, line: Record<string, unknown>) => {
    if ((warnedAt.get(companyId) ?? Number.NEGATIVE_INFINITY) + DOUBTFUL_MS > now()) return
    bounded(warnedAt, companyId, now())
    log.warn({ event: 'template.not_fetched', company_id: companyId, ...line })
  }

  const fromBucket = async (key: string): Promise<Known | undefined> => {
    const stored = await bucket.get(key)
    if (stored === undefined) return undefined
    const { success, data } = Kept.safeParse(JSON.parse(new TextDecoder().decode(stored.value)))
    if (!success) return undefined // written by another version
    const until = Date.parse(data.fetched_at) + FRESH_MS
    return until > now() ? { knowledge: { kind: 'found', definition: data.definition }, until } : undefined
  }

  const keep = (companyId: string, fetched: FetchedTemplate): Promise<unknown> => {
    const kept: z.input<typeof Kept> = {
      format: FORMAT,
      fetched_at: new Date(now()).toISOString(),
      definition: fetched.definition,
    }
    return bucket.put(keyOf(companyId, fetched), JSON.stringify(kept))
  }

  /** From the channel; a bucket that is away is only a bucket that does not help. */
  const fetchIt = async (tenant: Tenant, template: TemplateName, isCurrent: () => boolean): Promise<Known> => {
    const { companyId, businessId, accessToken: token } = tenant
    const doubtful = (knowledge: TemplateKnowledge): Known => ({ knowledge, until: now() + DOUBTFUL_MS })
    if (businessId === undefined || token === undefined) {
      warn(companyId, { reason: businessId === undefined ? 'no business id' : 'no access token' })
      return doubtful(UNKNOWN)
    }
    let translations: FetchedTemplate[]
    try {
      translations = await channel.fetchTemplates({ businessId, token, name: template.name })
    } catch (err) {
      warn(companyId, { template: template.name, err })
      return doubtful(UNKNOWN)
    }
    const found = translations.find(({ language }) => language === template.language)
    if (found === undefined)
      return doubtful({ kind: 'missing', languages: translations.map(({ writtenAs }) => writtenAs) })
    const knowledge: TemplateKnowledge = { kind: 'found', definition: found.definition }
    if (!found.isLasting) return doubtful(knowledge)
    if (isCurrent())
      await keep(companyId, found).catch((err: unknown) => {
        log.warn({ event: 'template.not_kept', company_id: companyId, template: template.name, err })
      })
    return { knowledge, until: now() + FRESH_MS }
  }

  const ask = (tenant: Tenant, template: TemplateName, key: string): Promise<TemplateKnowledge> => {
    /** Forgotten while it was under way: what comes may be what it was before. */
    const isCurrent = () => asked.get(key) === asking
    const look = async () => {
      await leaving.get(key)
      const kept = await fromBucket(key).catch((err: unknown) => {
        log.warn({ event: 'template.not_kept', company_id: tenant.companyId, template: template.name, err })
        return undefined
      })
      return kept ?? (await fetchIt(tenant, template, isCurrent))
    }
    const asking: Promise<TemplateKnowledge> = look()
      .then((known) => {
        if (isCurrent()) bounded(inMemory, key, known)
        return known.knowledge
      })
      .finally(() => {
        if (isCurrent()) asked.delete(key)
      })
    asked.set(key, asking)
    return asking
  }

  const find: Templates['find'] = (tenant, template) => {
    const key = keyOf(tenant.companyId, template)
    const known = inMemory.get(key)
    if (known !== undefined && known.until > now()) return Promise.resolve(known.knowledge)
    return asked.get(key) ?? ask(tenant, template, key)
  }

  const forget: Templates['forget'] = async (companyId, template) => {
    const key = keyOf(companyId, template)
    inMemory.delete(key)
    asked.delete(key)
    const deletion = bucket.delete(key).catch((err: unknown) => {
      log.warn({ event: 'template.not_kept', company_id: companyId, template: template.name, err })
    })
    leaving.set(key, deletion)
    await deletion
    if (leaving.get(key) === deletion) leaving.delete(key)
  }

  return {
    find,
    forget,
    forgetMemory: () => {
      inMemory.clear()
      asked.clear()
    },
    review: async (tenant, template, used) => {
      const key = keyOf(tenant.companyId, template)
      if ((reviewedAt.get(key) ?? Number.NEGATIVE_INFINITY) + REVIEW_MS <= now()) {
        bounded(reviewedAt, key, now())
        await forget(tenant.companyId, template)
      }
      const current = await find(tenant, template)
      return current.kind !== 'unknown' && !isDeepStrictEqual(current, used)
    },
  }
}
