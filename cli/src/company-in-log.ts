import { GatewayError } from '@cloudapi2/contracts'

/** The first of what a log was asked for; undefined: there is nothing. */
export const firstOf = async <T>(entries: AsyncIterable<T>): Promise<T | undefined> => {
  for await (const entry of entries) return entry
  return undefined
}

/** A mistyped company, or the wrong log. */
export const companyNotInLog = (companyId: string) =>
  new GatewayError(`no event of company ${companyId} is in the log: check the id, and NATS_URL or --source`, {
    code: 'COMPANY_NOT_IN_LOG',
    retryable: false,
  })
