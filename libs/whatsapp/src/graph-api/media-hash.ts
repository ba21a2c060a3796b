/**
 * A SHA-256 as Meta writes it, 64 hexadecimal digits (answers of the Graph API) or base64 of 32 bytes (webhooks), as 64
 * hexadecimal digits in lower case; undefined for anything else.
 */
export const hexOfMediaHash = (text: string): string | undefined => {
  if (/^[0-9a-fA-F]{64}$/.test(text)) return text.toLowerCase()
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return undefined
  return Buffer.from(text, 'base64').toString('hex')
}
