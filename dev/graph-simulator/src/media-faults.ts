import { z } from 'zod'

/** For how many of the next calls it holds. */
const Next = z.number().int().min(0).max(1_000_000).default(0)

export const MediaFaultsSchema = z.strictObject({
  /** The look-up says that there is no such object. */
  lookup_missing: Next,
  /** The look-up answers 500. */
  lookup_5xx: Next,
  /** The look-up gives a link that has expired already. */
  expired_urls: Next,
  /** The look-up names the hash of another file. */
  wrong_sha256: Next,
  /** The download answers 404, whatever the link. */
  download_missing: Next,
  /** The download answers 503. */
  download_5xx: Next,
  /** The download breaks off in the middle. */
  cut_off: Next,
  /** Of each download; null: as fast as it goes. */
  bytes_per_second: z.number().int().min(1).nullable().default(null),
  /** How look-ups write the hash. Meta: hexadecimal. */
  sha256_form: z.enum(['hex', 'base64', 'absent']).default('hex'),
})
export type MediaFaults = z.output<typeof MediaFaultsSchema>
type Counted = Exclude<keyof MediaFaults, 'bytes_per_second' | 'sha256_form'>

/** What goes wrong with files: for all companies, or for one of them, which then has settings of its own. */
export const createMediaFaults = () => {
  let general = MediaFaultsSchema.parse({})
  const ofCompany = new Map<string, MediaFaults>()
  const of = (companyId: string): MediaFaults => ofCompany.get(companyId) ?? general
  return {
    of,
    get: () => ({ all: general, companies: Object.fromEntries(ofCompany) }),
    set: (companyId: string | undefined, changes: Partial<MediaFaults>) => {
      if (companyId === undefined) general = { ...general, ...changes }
      else ofCompany.set(companyId, { ...of(companyId), ...changes })
    },
    clear: () => {
      general = MediaFaultsSchema.parse({})
      ofCompany.clear()
    },
    /** True, once less from then on, when the next call is to have this fault. */
    meets: (companyId: string, fault: Counted): boolean => {
      const faults = of(companyId)
      if (faults[fault] === 0) return false
      faults[fault] -= 1
      return true
    },
  }
}
export type MediaFaultControl = ReturnType<typeof createMediaFaults>
