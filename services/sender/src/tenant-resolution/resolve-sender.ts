import type { SendError } from '@cloudapi2/contracts'
import type { Tenant, TenantDirectory } from '@cloudapi2/tenants'
import { refusals } from '../send-command/refusals.ts'

/** What a command says of who is to send it. */
export interface Wanted {
  companyId: string | undefined
  phoneNumberId: string | undefined
}

export type Resolution =
  | { kind: 'found'; tenant: Tenant; phoneNumberId: string | undefined }
  /** `tenant`: in whose log the refusal is to stand, when that is known. */
  | { kind: 'refused'; error: SendError; tenant: Tenant | undefined }
  /** Only the recipient's latest conversation can tell. */
  | { kind: 'ask' }

/**
 * Who sends: the company named, from the number named or its default one; else the company whose number is named; else
 * the one that spoke with the recipient last. Without a number the company cannot send, but the command is its own.
 */
export const resolveSender = (
  { companyId, phoneNumberId }: Wanted,
  tenants: Pick<TenantDirectory, 'get' | 'byPhoneNumberId'>,
): Resolution => {
  if (companyId !== undefined) {
    const tenant = tenants.get(companyId)
    if (tenant === undefined) return { kind: 'refused', error: refusals.unknownCompany, tenant: undefined }
    if (phoneNumberId !== undefined && !hasNumber(tenant, phoneNumberId))
      return { kind: 'refused', error: refusals.numberOfAnotherCompany, tenant }
    return { kind: 'found', tenant, phoneNumberId: phoneNumberId ?? tenant.defaultPhoneNumberId }
  }
  if (phoneNumberId === undefined) return { kind: 'ask' }
  const tenant = tenants.byPhoneNumberId(phoneNumberId)
  // Not the conversation's company: it would send from a number that nobody asked for.
  if (tenant === undefined) return { kind: 'refused', error: refusals.unknownNumber, tenant: undefined }
  return { kind: 'found', tenant, phoneNumberId }
}

/** Reads the projector's answer. A number or company that is ours no more counts as none. */
export const senderOfConversation = (
  { companyId, phoneNumberId }: Wanted,
  tenants: Pick<TenantDirectory, 'get'>,
): Exclude<Resolution, { kind: 'ask' }> => {
  const tenant = companyId === undefined ? undefined : tenants.get(companyId)
  if (tenant === undefined) return { kind: 'refused', error: refusals.senderNotFound, tenant: undefined }
  const number =
    phoneNumberId !== undefined && hasNumber(tenant, phoneNumberId) ? phoneNumberId : tenant.defaultPhoneNumberId
  return { kind: 'found', tenant, phoneNumberId: number }
}

const hasNumber = (tenant: Tenant, phoneNumberId: string): boolean =>
  tenant.phoneNumbers.some(({ id }) => id === phoneNumberId)
