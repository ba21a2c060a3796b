export type Turn =
  | { kind: 'go' }
  /** Not now: this company has enough under way, or its token is refused. */
  | { kind: 'wait'; delayMs: number; reason: 'busy' | 'unauthorised' }

export interface TurnsOptions {
  /** Files of one company under way at most. */
  perCompany: number
  /** How often a refused token is tried again. */
  pauseMs: number
}

interface Company {
  inFlight: number
  /** How long a file of this company takes: a moving average. */
  usualMs: number
  /** When the place behind everybody who was told to wait comes free. */
  freeAt: number
  /** The token that was refused, and when it may be tried once more. */
  refused?: { token: string; probeAt: number }
}

/** Before any file of a company was fetched. */
const FIRST_GUESS_MS = 500
const SHORTEST_WAIT_MS = 100
/** A line that long says little of when it will be one's turn. */
const LONGEST_WAIT_MS = 300_000

/**
 * Whose turn it is to fetch a file, so that no company takes the places of the others, with slow files or with a token that
 * is refused. Who has to wait is told for how long, by a line of which only the length is kept: however many wait, nothing
 * of them is in memory. Times in milliseconds of any clock.
 */
export const createTurns = ({ perCompany, pauseMs }: TurnsOptions) => {
  const companies = new Map<string, Company>()
  const of = (companyId: string): Company => {
    const known = companies.get(companyId)
    if (known !== undefined) return known
    const company = { inFlight: 0, usualMs: FIRST_GUESS_MS, freeAt: 0 }
    companies.set(companyId, company)
    return company
  }

  return {
    /** Asks for a turn; after `go`, `leave` must follow. */
    enter: (companyId: string, token: string, now: number): Turn => {
      const company = of(companyId)
      if (company.refused !== undefined) {
        if (company.refused.token !== token) delete company.refused
        else if (now < company.refused.probeAt) return { kind: 'wait', delayMs: pauseMs, reason: 'unauthorised' }
        // This one tries; the others wait for what comes of it.
        else company.refused.probeAt = now + pauseMs
      }
      if (company.inFlight < perCompany) {
        company.inFlight += 1
        return { kind: 'go' }
      }
      company.freeAt = Math.max(company.freeAt, now) + company.usualMs / perCompany
      const delayMs = Math.min(LONGEST_WAIT_MS, Math.max(SHORTEST_WAIT_MS, Math.ceil(company.freeAt - now)))
      return { kind: 'wait', delayMs, reason: 'busy' }
    },
    /** The turn is over. `isRefused`: the token was not accepted; `tookMs`: how long it was. */
    leave: (
      companyId: string,
      token: string,
      now: number,
      { isRefused, tookMs }: { isRefused: boolean; tookMs: number },
    ) => {
      const company = of(companyId)
      company.inFlight -= 1
      company.usualMs += (tookMs - company.usualMs) / 8
      if (isRefused) company.refused = { token, probeAt: now + pauseMs }
      else delete company.refused
      // Nothing to remember: a company that has gone leaves nothing behind.
      if (company.inFlight === 0 && company.refused === undefined && company.freeAt <= now) companies.delete(companyId)
    },
    inFlight: (companyId: string): number => companies.get(companyId)?.inFlight ?? 0,
    paused: (): number => [...companies.values()].filter(({ refused }) => refused !== undefined).length,
  }
}
export type Turns = ReturnType<typeof createTurns>
