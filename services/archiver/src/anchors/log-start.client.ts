import { isCompanyId, NO_COMPANY, SYSTEM_CHANNEL, subjects } from '@cloudapi2/contracts'
import { EVENTS, lookUpMessage, type Nats, storedUnder, streamExtent } from '@cloudapi2/nats'
import { logEventOf } from '../log-event.ts'
import { ANCHOR_TYPE, anchorIn, type CompanyChain, extend, fromAnchor, newCompany } from './company-chain.ts'

/** What anchoring goes on from. */
export interface LogStart {
  companies: Map<string, CompanyChain>
  /** Every event up to this position is in the chain of its company already. */
  after: number
}

/** Companies looked up at the same time. */
const AT_ONCE = 32

export const anchorSubject = (companyId: string): string => subjects.event(companyId, SYSTEM_CHANNEL, ANCHOR_TYPE)

/**
 * Finds in the log what anchoring goes on from: each company's newest anchor, and the first event that none tells of. No
 * more is read than two or three messages of each company.
 *
 * @throws TopologyError, StreamUnreadable when the log cannot be read
 */
export const findLogStart = async (nats: Nats): Promise<LogStart> => {
  // Before anything is looked up: what comes after it is read anyway.
  const { last } = await streamExtent(nats, EVENTS)
  const companies = new Map<string, CompanyChain>()
  let after = last
  const ids = companiesUnder(await storedUnder(nats, EVENTS, subjects.allEvents))
  const next = ids.values()
  const lookUp = async () => {
    for (const companyId of next) {
      const { company, firstNews } = await lookUpCompany(nats, companyId)
      companies.set(companyId, company)
      if (firstNews !== undefined) after = Math.min(after, firstNews - 1)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lookUp))
  return { companies, after }
}

const companiesUnder = (stored: Map<string, number>): Set<string> => {
  const ids = [...stored.keys()].map((subject) => subject.split('.')[1] ?? '')
  return new Set(ids.filter((id) => id === NO_COMPANY || isCompanyId(id)))
}

const lookUpCompany = async (nats: Nats, companyId: string) => {
  const newest = await lookUpMessage(nats, EVENTS, { lastOn: anchorSubject(companyId) })
  const data = newest && anchorIn(newest.data)
  let company =
    newest && data
      ? fromAnchor(companyId, { at: newest.sequence, storedAtMs: newest.storedAt.getTime(), data })
      : newCompany(companyId)
  const nextAfter = (position: number) =>
    lookUpMessage(nats, EVENTS, { firstOn: subjects.events(companyId), from: position + 1 })
  let first = await nextAfter(company.chain.position)
  // Of a company that is silent, all that is left to take up is the anchor itself.
  if (first !== undefined && first.sequence === newest?.sequence) {
    company = extend(
      company,
      logEventOf({
        sequence: first.sequence,
        subject: first.subject,
        data: first.data,
        storedAtMs: first.storedAt.getTime(),
      }),
    )
    first = await nextAfter(first.sequence)
  }
  return { company, firstNews: first?.sequence }
}
