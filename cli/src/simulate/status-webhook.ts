/** A tenant as the simulator tells of it. */
export interface SimulatedTenant {
  company_id: string
  waba_id: string
  phone_numbers: { id: string; display_phone_number: string }[]
}

export interface SimulatedStatus {
  messageId: string
  status: string
  /** Whom the message went to: digits. */
  recipient: string
  phoneNumberId: string | undefined
  /** Milliseconds since 1970. */
  at: number
  /** Meta's code, for `failed`. */
  errorCode: number | undefined
}

/**
 * The webhook by which Meta tells of a status; undefined when the tenant has no such number.
 *
 * @see https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/payload-examples ("Message status updates")
 */
export const statusWebhook = (tenant: SimulatedTenant, status: SimulatedStatus): unknown => {
  const number = tenant.phone_numbers.find(
    ({ id }) => status.phoneNumberId === undefined || id === status.phoneNumberId,
  )
  if (number === undefined) return undefined
  const { errorCode } = status
  return {
    object: 'whatsapp_business_account',
    entry: [
      {
        id: tenant.waba_id,
        changes: [
          {
            field: 'messages',
            value: {
              messaging_product: 'whatsapp',
              metadata: {
                display_phone_number: number.display_phone_number.replace(/\D/g, ''),
                phone_number_id: number.id,
              },
              statuses: [
                {
                  id: status.messageId,
                  status: status.status,
                  timestamp: String(Math.floor(status.at / 1_000)),
                  recipient_id: status.recipient,
                  ...(errorCode === undefined ? {} : { errors: [{ code: errorCode, title: 'Simulated' }] }),
                },
              ],
            },
          },
        ],
      },
    ],
  }
}
