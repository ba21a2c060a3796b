export interface ReadinessReport {
  ready: boolean
  checks: Record<string, { ok: boolean; reason?: string }>
}

export interface Readiness {
  /** Notes how one thing the service needs stands. `reason` says why not, without secrets. */
  set: (check: string, ok: boolean, reason?: string) => void
  /** A check that is asked each time. It must be quick and touch no network. */
  watch: (check: string, ask: () => { ok: boolean; reason?: string }) => void
  report: () => ReadinessReport
}

/**
 * What `/readyz` answers: ready when every check is. Meta is never among them: when Meta is down, restarting or
 * unplugging this process would help nobody.
 */
export const createReadiness = (): Readiness => {
  const checks = new Map<string, () => { ok: boolean; reason?: string }>()
  return {
    set: (check, ok, reason) => checks.set(check, () => (reason === undefined ? { ok } : { ok, reason })),
    watch: (check, ask) => checks.set(check, ask),
    report: () => {
      const results = Object.fromEntries([...checks].map(([name, ask]) => [name, ask()]))
      return { ready: Object.values(results).every(({ ok }) => ok), checks: results }
    },
  }
}
