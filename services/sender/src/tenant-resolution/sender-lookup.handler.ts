import type { SendCommand } from '@cloudapi2/contracts'
import type { TenantDirectory } from '@cloudapi2/tenants'
import { chatIdOf, parseRecipient } from '../recipient/recipient.ts'
import type { Ledger } from '../send-command/ledger.store.ts'
import { refusals } from '../send-command/refusals.ts'
import type { FindConversation } from './conversation.client.ts'
import { type Resolution, resolveSender, senderOfConversation } from './resolve-sender.ts'

export type Found = Exclude<Resolution, { kind: 'ask' }>
export type SenderLookup = (command: SendCommand) => Promise<Found>

/** How a recipient without a country code is read while nobody knows yet whose it is: the default of every company. */
const DEFAULT_COUNTRY = 'ES'

/**
 * Finds who sends a command, asking the recipient's latest conversation where nothing else tells. That answer is kept,
 * since the next delivery of the same command may come after another company's conversation.
 */
export const senderLookup =
  (deps: {
    tenants: Pick<TenantDirectory, 'get' | 'byPhoneNumberId'>
    ledger: Pick<Ledger, 'attribute' | 'attributionOf'>
    findConversation: FindConversation
  }): SenderLookup =>
  async (command) => {
    const { tenants, ledger, findConversation } = deps
    const resolution = resolveSender({ companyId: command.company_id, phoneNumberId: command.phone_number_id }, tenants)
    if (resolution.kind !== 'ask') return resolution

    const recipient = parseRecipient(command.to, DEFAULT_COUNTRY)
    if (recipient === undefined) return { kind: 'refused', error: refusals.invalidPhone, tenant: undefined }
    const kept = await ledger.attributionOf(command)
    if (kept !== undefined)
      return senderOfConversation({ companyId: kept.company_id, phoneNumberId: kept.phone_number_id }, tenants)

    const found = senderOfConversation(await findConversation(chatIdOf(recipient)), tenants)
    if (found.kind === 'refused') return found
    const first = await ledger.attribute(command, {
      company_id: found.tenant.companyId,
      ...(found.phoneNumberId === undefined ? {} : { phone_number_id: found.phoneNumberId }),
    })
    return senderOfConversation({ companyId: first.company_id, phoneNumberId: first.phone_number_id }, tenants)
  }
