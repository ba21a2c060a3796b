import { isCompanyId, NO_COMPANY } from '@cloudapi2/contracts'

/** The stream of the archive that an event belongs to: `<channel>-<company_id>`, `<channel>-_` for what belongs to none. */
export const archiveStream = (channel: string, companyId: string): string => `${channel}-${companyId}`

const STREAM = /^[a-z0-9_-]{1,64}-(?:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})|_)$/

/** The company of a stream of the archive; undefined when it is not one of ours. */
export const companyOfStream = (stream: string): string | undefined => {
  const found = STREAM.exec(stream)
  return found === null ? undefined : (found[1] ?? NO_COMPANY)
}

/** As the server's filters understand it: every stream of ours, or those of one company. */
export const streamPattern = (companyId: string | undefined): RegExp =>
  companyId === undefined ? STREAM : new RegExp(`^[a-z0-9_-]{1,64}-${companyId}$`)

/** True for what may be asked for as a company. */
export const isCompanyToken = (companyId: string): boolean => companyId === NO_COMPANY || isCompanyId(companyId)

/**
 * Names the streams of a company, one event each, so that they are found without looking through the whole archive. No
 * stream of events has a point in its name.
 */
export const catalogueOf = (companyId: string): string => `streams.of.${companyId}`
