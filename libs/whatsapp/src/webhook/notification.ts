import { type AccountNotifiedData, canonicalJson, eventId } from '@cloudapi2/contracts'
import { asObject, asText, asTime, type JsonObject } from '../json-values.ts'
import { accountSubject, type Change, record } from './change.ts'

/**
 * Records what concerns no single message: a whole change of any other field, an error of a number, a user's action.
 *
 * Nothing of it has an id, so its content is its identity. An error carries no time either: of two equal ones, the second
 * cannot be told from a repetition of the first.
 */
export const recordNotification = (
  change: Change & { field: string },
  entity: AccountNotifiedData['entity'],
  raw: unknown,
  happenedAt: string | undefined,
): void => {
  const subject = accountSubject(change)
  const data: AccountNotifiedData = { field: change.field, entity, raw }
  if (change.accountId !== undefined) data.account_id = change.accountId
  if (change.phoneNumberId !== undefined) data.phone_number_id = change.phoneNumberId
  if (change.displayPhoneNumber !== undefined) data.display_phone_number = change.displayPhoneNumber
  record(change, 'account.notified', {
    id: eventId(
      change.companyId,
      'account.notified',
      subject,
      change.entryId ?? '',
      change.phoneNumberId ?? '',
      change.field,
      entity,
      asText(change.entryTime) ?? '',
      canonicalJson(raw),
    ),
    subject,
    time: happenedAt ?? asTime(change.entryTime) ?? change.delivery.recordedTime,
    data,
  })
}

/**
 * When the thing told by a `value` happened: its own timestamp, else that of the first item of its first list
 * (`groups`, `calls`, `user_preferences`, `state_sync`, …).
 */
export const timeOfValue = (value: JsonObject): string | undefined => {
  const own = asTime(value.timestamp)
  if (own !== undefined) return own
  for (const key in value) {
    const list = value[key]
    if (!Array.isArray(list)) continue
    const item = asObject(list[0])
    const time = asTime(item?.timestamp) ?? asTime(asObject(item?.metadata)?.timestamp)
    if (time !== undefined) return time
  }
  return undefined
}
