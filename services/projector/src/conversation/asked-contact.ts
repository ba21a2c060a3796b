const PHONE = /^[+\d\s().-]+$/
const decoder = new TextDecoder()

/**
 * Whose conversation is asked for: digits of a phone in any notation, or the channel's user id as it is; undefined for
 * what names nobody.
 */
export const askedContact = (data: Uint8Array): string | undefined => {
  let question: unknown
  try {
    question = JSON.parse(decoder.decode(data))
  } catch {
    return undefined // not JSON: it names nobody
  }
  const { phone } = (question ?? {}) as { phone?: unknown }
  if (typeof phone !== 'string' || phone.includes('\u0000')) return undefined
  const contact = PHONE.test(phone) ? phone.replace(/\D/g, '') : phone
  return contact === '' ? undefined : contact
}
