import { randomUUID } from 'node:crypto'
import { canonicalJson } from '@cloudapi2/contracts'
import { type CustomProperties, type SecretsKeys, sealProperties } from '@cloudapi2/tenants'
import type { Database, Query, Row } from '../database/database.client.ts'
import { type Company, propertiesOf } from './company.ts'

export interface ApiKey {
  id: string
  name: string
  scopes: readonly string[]
  createdAt: Date
}

/** What a company is to become, given what it is (undefined: it is not there). */
export type Change = (current: Company | undefined) => { name: string; customProperties: CustomProperties }

export interface CompaniesStore {
  /** A page of companies in the order of their ids, those after `afterId`. */
  list: (page: { afterId?: string; limit: number }) => Promise<Company[]>
  get: (id: string) => Promise<Company | undefined>
  /** `get`, with secrets that are in clear, or under an older key, sealed in the table first. */
  getSealed: (id: string) => Promise<Company | undefined>
  /** Creates or changes a company; two at once wait for each other. An equal one is not written. */
  change: (id: string, change: Change) => Promise<{ company: Company; created: boolean }>
  /** Removes a company and its API keys. False when it was not there. */
  remove: (id: string) => Promise<boolean>
  /** Undefined when there is no such company. */
  addApiKey: (
    companyId: string,
    key: { name: string; scopes: readonly string[]; hash: string },
  ) => Promise<ApiKey | undefined>
  /** Those that are valid; undefined when there is no such company. */
  apiKeys: (companyId: string) => Promise<ApiKey[] | undefined>
  /** False when there is no such key that is valid. */
  revokeApiKey: (companyId: string, keyId: string) => Promise<boolean>
  /** The keys of a company whose row another program removed: one of the same id later must not have them. */
  forgetApiKeysOfAbsent: (companyId: string) => Promise<void>
}

const COMPANY = `
  select c.id::text as id, coalesce(c.name, '') as name, c.custom_properties, c.created_at, c.updated_at,
    coalesce((
      select jsonb_agg(jsonb_build_object('id', k.id, 'name', k.name, 'scopes', to_jsonb(k.scopes), 'hash', k.hash)
                       order by k.created_at, k.id)
      from gateway.api_keys k where k.company_id = c.id and k.revoked_at is null
    ), '[]') as api_keys
  from public.companies c`

const companyOf = (row: Row): Company => ({
  id: row.id as string,
  name: row.name as string,
  customProperties: row.custom_properties ?? {},
  createdAt: row.created_at as Date,
  updatedAt: row.updated_at as Date,
  apiKeys: row.api_keys as Company['apiKeys'],
})

const apiKeyOf = (row: Row): ApiKey => ({
  id: row.id as string,
  name: row.name as string,
  scopes: row.scopes as string[],
  createdAt: row.created_at as Date,
})

const select = async (query: Query, id: string, lock = ''): Promise<Company | undefined> => {
  const { rows } = await query(`${COMPANY} where c.id = $1::uuid ${lock}`, [id])
  return rows[0] && companyOf(rows[0])
}

/**
 * Writes only the properties that differ: a number of another program's property that is too long for JavaScript keeps
 * its digits.
 */
const updateProperties = async (query: Query, current: Company, next: CustomProperties, name: string) => {
  const before = propertiesOf(current)
  if (before !== current.customProperties) {
    await query('update public.companies set name = $2, custom_properties = $3::jsonb where id = $1::uuid', [
      current.id,
      name,
      JSON.stringify(next),
    ])
    return
  }
  const differs = (key: string) => canonicalJson(before[key]) !== canonicalJson(next[key])
  const set = Object.fromEntries(Object.entries(next).filter(([key]) => !Object.hasOwn(before, key) || differs(key)))
  const removed = Object.keys(before).filter((key) => !Object.hasOwn(next, key))
  if (name === current.name && removed.length === 0 && Object.keys(set).length === 0) return
  await query(
    `update public.companies set name = $2, custom_properties = (custom_properties - $3::text[]) || $4::jsonb
     where id = $1::uuid`,
    [current.id, name, removed, JSON.stringify(set)],
  )
}

/** Moves `updated_at`, which also tells everybody that listens. False when there is no such company. */
const touch = async (query: Query, companyId: string): Promise<boolean> => {
  const { count } = await query('update public.companies set updated_at = clock_timestamp() where id = $1::uuid', [
    companyId,
  ])
  return count > 0
}

export const createCompaniesStore = ({ database, keys }: { database: Database; keys: SecretsKeys }): CompaniesStore => {
  const get = (id: string) => select(database.query, id)
  const needsSealing = (company: Company) => sealProperties(keys, company.id, propertiesOf(company)).sealed.length > 0

  return {
    get,
    list: async ({ afterId, limit }) => {
      const { rows } = await database.query(
        `${COMPANY} where $1::uuid is null or c.id > $1::uuid order by c.id limit $2`,
        [afterId ?? null, limit],
      )
      return rows.map(companyOf)
    },
    getSealed: async (id) => {
      const company = await get(id)
      if (company === undefined || !needsSealing(company)) return company
      return database.transaction(async (query) => {
        const current = await select(query, id, 'for update of c')
        if (current === undefined) return undefined
        const { properties } = sealProperties(keys, id, propertiesOf(current))
        await updateProperties(query, current, properties, current.name)
        return select(query, id)
      })
    },
    change: (id, change) =>
      database.transaction(async (query) => {
        // Two that create the same company at once: there is no row yet to lock.
        await query(`select pg_advisory_xact_lock(hashtextextended('companies:' || $1, 0))`, [id])
        const current = await select(query, id, 'for update of c')
        const next = change(current)
        if (current === undefined) {
          await query('delete from gateway.api_keys where company_id = $1::uuid', [id])
          await query(
            `insert into public.companies (id, name, custom_properties) values ($1::uuid, $2, $3::jsonb)
             on conflict (id) do update set name = excluded.name, custom_properties = excluded.custom_properties`,
            [id, next.name, JSON.stringify(next.customProperties)],
          )
        } else await updateProperties(query, current, next.customProperties, next.name)
        return { company: (await select(query, id)) as Company, created: current === undefined }
      }),
    remove: (id) =>
      database.transaction(async (query) => {
        await query('delete from gateway.api_keys where company_id = $1::uuid', [id])
        const { count } = await query('delete from public.companies where id = $1::uuid', [id])
        return count > 0
      }),
    addApiKey: (companyId, { name, scopes, hash }) =>
      database.transaction(async (query) => {
        if (!(await touch(query, companyId))) return undefined
        const { rows } = await query(
          `insert into gateway.api_keys (id, company_id, name, scopes, hash) values ($1::uuid, $2::uuid, $3, $4, $5)
           returning id::text, name, scopes, created_at`,
          [randomUUID(), companyId, name, [...scopes], hash],
        )
        return apiKeyOf(rows[0] as Row)
      }),
    apiKeys: async (companyId) => {
      if ((await get(companyId)) === undefined) return undefined
      const { rows } = await database.query(
        `select id::text, name, scopes, created_at from gateway.api_keys
         where company_id = $1::uuid and revoked_at is null order by created_at, id`,
        [companyId],
      )
      return rows.map(apiKeyOf)
    },
    revokeApiKey: (companyId, keyId) =>
      database.transaction(async (query) => {
        const { count } = await query(
          `update gateway.api_keys set revoked_at = clock_timestamp()
           where company_id = $1::uuid and id = $2::uuid and revoked_at is null`,
          [companyId, keyId],
        )
        if (count > 0) await touch(query, companyId)
        return count > 0
      }),
    forgetApiKeysOfAbsent: async (companyId) => {
      await database.query(
        `delete from gateway.api_keys where company_id = $1::uuid
         and not exists (select from public.companies c where c.id = $1::uuid)`,
        [companyId],
      )
    },
  }
}
