import { EventStoreUrlInvalid } from './event-log-errors.ts'

const SCHEME = /^esdb(\+discover)?:\/\//
/** `user:password@` and hosts, and the options. */
const PARTS = /^esdb(?:\+discover)?:\/\/(?:[^@/?]*@)?([^@/?]+)\/?(?:\?(.*))?$/
/**
 * What the client knows; it tells of any other by printing the whole URL, password included, and goes on without it.
 * `throwOnAppendFailure` is left out: our answers rest on its default.
 */
const OPTIONS = new Set(
  [
    'nodePreference',
    'connectionName',
    'tlsCAFile',
    'userCertFile',
    'userKeyFile',
    'maxDiscoverAttempts',
    'defaultDeadline',
    'discoveryInterval',
    'gossipTimeout',
    'keepAliveInterval',
    'keepAliveTimeout',
    'dnsDiscover',
    'tls',
    'tlsVerifyCert',
  ].map((option) => option.toLowerCase()),
)

/**
 * The credentials to append with. Given explicitly, they make the client append with a call of its own each time, instead
 * of over one stream of appends whose state all clients of a process share: there, a connection that breaks fails
 * the appends of every other client, and an answer that comes late ends the process. Without TLS no credentials are sent,
 * so any will do. Undefined: with TLS and without a user, and that stream it is.
 */
export const appendCredentials = (url: string): { username: string; password: string } | undefined => {
  const [, username, password] = /^[^/]*\/\/([^:@/]+):([^@/]+)@/.exec(url) ?? []
  if (username !== undefined && password !== undefined)
    return { username: decodeURIComponent(username), password: decodeURIComponent(password) }
  return /[?&]tls=false/i.test(url) ? { username: 'nobody', password: '' } : undefined
}

/**
 * Checks what can be checked of a connection string without connecting.
 *
 * @throws EventStoreUrlInvalid
 */
export const checkArchiveUrl = (url: string): void => {
  if (url.trim() === '') throw new EventStoreUrlInvalid('is empty')
  if (!SCHEME.test(url)) throw new EventStoreUrlInvalid('does not begin with esdb:// or esdb+discover://')
  const [, authority, options] = PARTS.exec(url) ?? []
  if (authority === undefined)
    throw new EventStoreUrlInvalid('names no host, or has something after it that is no option')
  for (const host of authority.split(',')) {
    const [name, port, ...more] = host.split(':')
    const isPort = port === undefined || (/^[0-9]{1,5}$/.test(port) && Number(port) > 0 && Number(port) < 65_536)
    if (name === '' || !isPort || more.length > 0) throw new EventStoreUrlInvalid('names a host or port that is none')
  }
  for (const option of options?.split('&') ?? []) {
    const [name = '', value] = option.split('=').map((part) => part.trim().toLowerCase())
    // The client takes `tls_ca_file` for `tlsCAFile`.
    const known = name.replace(/[_-]/g, '')
    if (name !== '' && !OPTIONS.has(known)) throw new EventStoreUrlInvalid('has an option that is not taken here')
    if (known === 'tlsverifycert' && value === 'false')
      throw new EventStoreUrlInvalid('sets tlsVerifyCert=false, which this client cannot do: give tlsCAFile instead')
  }
}
