/** Where Meta keeps files. */
const META_DOMAINS = ['facebook.com', 'fbsbx.com', 'fbcdn.net', 'whatsapp.net', 'whatsapp.com']

/** True for an address that a company's token may be sent to: Meta's, or the one that Graph itself is asked at. */
export const isMediaAddress = (url: string, graphBaseUrl: string): boolean => {
  if (!URL.canParse(url)) return false
  const { origin, protocol, hostname, username } = new URL(url)
  if (origin === new URL(graphBaseUrl).origin) return true
  const isMeta = META_DOMAINS.some((domain) => hostname === domain || hostname.endsWith(`.${domain}`))
  return isMeta && protocol === 'https:' && username === ''
}
