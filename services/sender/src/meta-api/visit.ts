/** What is known of a request, for its line in the log and what follows from it. */
export interface Visit {
  startedAt: number
  traceparent: string
  line: Record<string, unknown>
}

/** Any version: what Graph makes of it is Graph's business. */
export const VERSION_PATH = '/:version(^v[1-9]\\d{0,2}\\.\\d{1,2}$)'
