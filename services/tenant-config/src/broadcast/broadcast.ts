import { createHash } from 'node:crypto'
import { canonicalJson, eventId, newEvent, type StoredEvent, SYSTEM_CHANNEL } from '@cloudapi2/contracts'
import {
  type CompanyRecord,
  type ConfiguredCompany,
  type CustomProperties,
  isRemoved,
  maskProperties,
  openProperties,
  type SecretsKeys,
} from '@cloudapi2/tenants'

export const SOURCE = '/tenant-config'

/** What is to be told: the record to store for the services, and the event, when the meaning changed and not the form only. */
export interface Broadcast {
  record: CompanyRecord
  event?: StoredEvent<'tenant.configured'> | StoredEvent<'tenant.removed'>
}

const contentOf = ({ name, custom_properties, api_keys }: ConfiguredCompany): string =>
  canonicalJson({ name, custom_properties, api_keys })

/** The whole of a record in 64 digits; secrets count in their sealed form, from which nothing can be learnt. */
const digestOf = (record: ConfiguredCompany): string => createHash('sha256').update(canonicalJson(record)).digest('hex')

/** Secrets by their value, so that sealing one again is no change; by their sealed text where it cannot be opened. */
const meaningOf = (keys: SecretsKeys, { company_id, custom_properties }: ConfiguredCompany): CustomProperties => ({
  ...custom_properties,
  ...openProperties(keys, company_id, custom_properties).properties,
})

const changesBetween = (
  keys: SecretsKeys,
  before: ConfiguredCompany | undefined,
  after: ConfiguredCompany,
): string[] => {
  const old = before === undefined ? {} : meaningOf(keys, before)
  const now = meaningOf(keys, after)
  const properties = [...new Set([...Object.keys(old), ...Object.keys(now)])]
    .filter(
      (name) =>
        Object.hasOwn(old, name) !== Object.hasOwn(now, name) || canonicalJson(old[name]) !== canonicalJson(now[name]),
    )
    .sort()
  return [
    ...(before?.name === after.name ? [] : ['name']),
    ...properties,
    ...(canonicalJson(before?.api_keys ?? []) === canonicalJson(after.api_keys) ? [] : ['api_keys']),
  ]
}

/**
 * What the services are to be told, given what they were told last. Nothing when that is the same already.
 *
 * The id of the event is made of the configuration and when it was made: two processes that notice one change tell of one.
 *
 * @param known  the record they have; undefined when there is none
 * @param wanted the company as it is; undefined when it is gone
 * @param now    when this is recorded
 */
export const decideBroadcast = ({
  keys,
  known,
  wanted,
  now,
}: {
  keys: SecretsKeys
  known: CompanyRecord | undefined
  wanted: ConfiguredCompany | undefined
  now: Date
}): Broadcast | undefined => {
  const before = known === undefined || isRemoved(known) ? undefined : known
  const at = now.toISOString()
  if (wanted === undefined) {
    if (before === undefined) return undefined
    return {
      record: { company_id: before.company_id, removed: true, updated_at: at },
      event: newEvent({
        ...envelopeOf(before.company_id, 'tenant.removed', digestOf(before)),
        time: at,
        recordedTime: at,
        data: { name: before.name },
      }),
    }
  }
  if (before !== undefined && contentOf(before) === contentOf(wanted)) return undefined
  const changed = changesBetween(keys, before, wanted)
  if (before !== undefined && changed.length === 0) return { record: wanted }
  return {
    record: wanted,
    event: newEvent({
      ...envelopeOf(wanted.company_id, 'tenant.configured', digestOf(wanted)),
      time: wanted.updated_at,
      recordedTime: at,
      data: {
        name: wanted.name,
        custom_properties: maskProperties(keys, wanted.company_id, wanted.custom_properties),
        changed,
        api_keys: wanted.api_keys.map(({ id, name, scopes }) => ({ id, name, scopes })),
      },
    }),
  }
}

const envelopeOf = <T extends 'tenant.configured' | 'tenant.removed'>(companyId: string, type: T, digest: string) => ({
  id: eventId(companyId, type, companyId, digest),
  source: SOURCE,
  type,
  subject: companyId,
  companyId,
  channel: SYSTEM_CHANNEL,
})
