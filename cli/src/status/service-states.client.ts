import { request } from 'undici'
import type { Context, ServiceUrl } from '../context.store.ts'
import type { ServiceState } from './status-report.ts'

const TIMEOUT_MS = 3_000

/** Asks every service that has an address whether it does its work. A service that does not answer is a result, no error. */
export const serviceStates = ({ urls }: Pick<Context, 'urls'>, now: () => number): Promise<ServiceState[]> =>
  Promise.all((Object.keys(urls) as ServiceUrl[]).map((name) => stateOf(name, urls[name] as string, now)))

const stateOf = async (service: ServiceUrl, url: string, now: () => number): Promise<ServiceState> => {
  const name = service.replaceAll('_', '-')
  const startedAt = now()
  try {
    const { statusCode, body } = await request(`${url}/readyz`, { headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS })
    const text = await body.text()
    const latency_ms = Math.round(now() - startedAt)
    if (statusCode === 200) return { name, url, alive: true, ready: true, reasons: [], latency_ms }
    return { name, url, alive: true, ready: false, reasons: reasonsOf(statusCode, text), latency_ms }
  } catch (error) {
    const { code, name: kind } = error as NodeJS.ErrnoException
    return { name, url, alive: false, ready: false, reasons: [code ?? kind], latency_ms: null }
  }
}

/** What `/readyz` says of each check that is not as it should be. */
const reasonsOf = (status: number, text: string): string[] => {
  try {
    const { checks } = JSON.parse(text) as { checks: Record<string, { ok: boolean; reason?: string }> }
    return Object.entries(checks)
      .filter(([, { ok }]) => !ok)
      .map(([check, { reason }]) => (reason === undefined ? check : `${check}: ${reason}`))
  } catch {
    return [`/readyz answered ${status}, and not as a service of this system does`]
  }
}
