import { joinRetention, retentionWatermark } from '@cloudapi2/read-model'

export interface PlannedSweep {
  companyId: string
  before: string
  /** Undefined: the company has no `RETENTION_DAYS` any more. */
  retentionDays: number | undefined
}

/**
 * Which companies are swept, and up to where. A company without `RETENTION_DAYS` keeps everything; what the log says is
 * gone stays gone, though, when the days grow, when they are taken away, and when an old event comes late.
 *
 * @param tenants   companies with their settings
 * @param known     how far back rows go by company, as the log says
 * @param nowMs     milliseconds since 1970
 */
export const planSweeps = (
  tenants: Iterable<{ companyId: string; retentionDays?: number }>,
  known: ReadonlyMap<string, string>,
  nowMs: number,
): PlannedSweep[] => {
  const days = new Map<string, number>()
  for (const { companyId, retentionDays } of tenants)
    if (retentionDays !== undefined) days.set(companyId, retentionDays)
  return [...new Set([...days.keys(), ...known.keys()])].sort().map((companyId) => {
    const retentionDays = days.get(companyId)
    const reached = { company_id: companyId, before: known.get(companyId) ?? '' }
    if (retentionDays === undefined) return { companyId, before: reached.before, retentionDays }
    const wanted = { company_id: companyId, before: retentionWatermark(nowMs, retentionDays) }
    return { companyId, before: joinRetention(reached, wanted).before, retentionDays }
  })
}
