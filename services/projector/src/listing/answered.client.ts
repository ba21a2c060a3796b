import { type Logger, Problem } from '@cloudapi2/service-kit'

/** Asks the database, with one line in the log. @throws Problem 503 when it is away: that is no fault of the request */
export type Answered = <T>(event: string, companyId: string, question: () => Promise<T>) => Promise<T>

export const answeredBy =
  (log: Logger): Answered =>
  async (event, companyId, question) => {
    const startedAt = performance.now()
    let outcome = 'ok'
    try {
      return await question()
    } catch (cause) {
      outcome = 'unavailable'
      throw new Problem({
        status: 503,
        code: 'DATABASE_UNAVAILABLE',
        title: 'The messages cannot be read just now',
        headers: { 'retry-after': '2' },
        cause,
      })
    } finally {
      const durationMs = Math.round(performance.now() - startedAt)
      log[outcome === 'ok' ? 'debug' : 'error']({ event, company_id: companyId, outcome, duration_ms: durationMs })
    }
  }
