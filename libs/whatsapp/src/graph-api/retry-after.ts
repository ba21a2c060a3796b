import { asNumber, asObject } from '../json-values.ts'

/** The headers of an answer: lower-case names. */
export type AnswerHeaders = Readonly<Record<string, string | string[] | undefined>>

const single = (value: string | string[] | undefined): string | undefined => (Array.isArray(value) ? value[0] : value)

/** `Retry-After`: seconds, or a date. Meta is not known to send it; what stands in between may. */
const byRetryAfter = (header: string, nowMs: number): number | undefined => {
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1000
  const at = Date.parse(header)
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs)
}

/** `X-Business-Use-Case-Usage`: `{"<waba id>":[{…,"estimated_time_to_regain_access":<minutes>}]}`. */
const byUsage = (header: string): number | undefined => {
  let usage: unknown
  try {
    usage = JSON.parse(header)
  } catch {
    return undefined // a hint we cannot read is no hint
  }
  const minutes = Object.values(asObject(usage) ?? {})
    .flatMap((entries) => (Array.isArray(entries) ? entries : []))
    .map((entry) => asNumber(asObject(entry)?.estimated_time_to_regain_access) ?? 0)
  const longest = Math.max(0, ...minutes)
  return longest > 0 ? longest * 60_000 : undefined
}

/** How long an answer asks to wait, in milliseconds; undefined when it does not say. */
export const retryAfterMs = (headers: AnswerHeaders, nowMs: number): number | undefined => {
  const header = single(headers['retry-after'])
  const usage = single(headers['x-business-use-case-usage'])
  return (
    (header === undefined ? undefined : byRetryAfter(header, nowMs)) ??
    (usage === undefined ? undefined : byUsage(usage))
  )
}
