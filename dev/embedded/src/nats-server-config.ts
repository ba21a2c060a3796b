import { GatewayError } from '@cloudapi2/contracts'

/** Subjects that may and may not be used; see https://docs.nats.io/running-a-nats-service/configuration/securing_nats/authorization */
export interface NatsSubjectRules {
  allow?: readonly string[]
  deny?: readonly string[]
}

export interface NatsUser {
  user: string
  /** In clear. One that starts with `$2a$`, `$2b$` or `$2y$` would be taken for a bcrypt hash by the server. */
  password: string
  /** Left out: everything is allowed. */
  permissions?: {
    publish?: NatsSubjectRules
    subscribe?: NatsSubjectRules
    /** May publish to the reply subject of a request it received. */
    allow_responses?: boolean
  }
}

export interface NatsServerSettings {
  host: string
  port: number
  /** Folder of JetStream's files. */
  storeDir: string
  serverName: string
  users: readonly NatsUser[]
  /** Who a connection without credentials is; must be one of `users`. */
  noAuthUser?: string
  /** fsync before every acknowledgement: an acknowledged message outlives a power cut. Costs about two thirds of the rate. */
  syncAlways: boolean
  /** Most that streams kept in memory may take. */
  maxMemoryBytes: number
  /** Most that streams kept in files may take. */
  maxFileBytes: number
  /** HTTP monitoring (`/healthz`, `/jsz`) on the same host; left out: none. */
  monitorPort?: number
}

/** Events are split from webhooks of at most 4 MiB; twice that leaves room for base64 and headers. */
export const NATS_MAX_PAYLOAD_BYTES = 8 * 1024 * 1024

/**
 * A string in the server's configuration syntax. Its double-quoted strings know \" \\ \t \n \r and \xHH only, so other
 * control characters cannot be written and are refused.
 */
const quoted = (text: string, what: string): string => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(text))
    throw new GatewayError(`${what} must not contain control characters`, {
      code: 'NATS_CONFIG_INVALID',
      retryable: false,
    })
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}

const list = (subjects: readonly string[], what: string): string =>
  `[${subjects.map((subject) => quoted(subject, what)).join(', ')}]`

const rules = (kind: 'publish' | 'subscribe', { allow, deny }: NatsSubjectRules): string => {
  const parts = [
    ...(allow === undefined ? [] : [`allow: ${list(allow, `a ${kind} subject`)}`]),
    ...(deny === undefined ? [] : [`deny: ${list(deny, `a ${kind} subject`)}`]),
  ]
  return `${kind}: { ${parts.join(', ')} }`
}

const userLines = ({ user, password, permissions }: NatsUser): string[] => {
  const { publish, subscribe, allow_responses: allowResponses } = permissions ?? {}
  const parts = [
    ...(publish === undefined ? [] : [`        ${rules('publish', publish)}`]),
    ...(subscribe === undefined ? [] : [`        ${rules('subscribe', subscribe)}`]),
    ...(allowResponses === undefined ? [] : [`        allow_responses: ${allowResponses}`]),
  ]
  return [
    '    {',
    `      user: ${quoted(user, 'a user name')}`,
    `      password: ${quoted(password, 'a password')}`,
    ...(parts.length === 0 ? [] : ['      permissions: {', ...parts, '      }']),
    '    }',
  ]
}

/**
 * The text of a nats-server configuration file: one server with JetStream, explicit limits, and the given users. It
 * contains the passwords, so write it with mode 0600.
 *
 * @throws GatewayError NATS_CONFIG_INVALID for control characters in a value, two users of one name, or an unknown `noAuthUser`
 * @see https://docs.nats.io/running-a-nats-service/configuration
 */
export const natsServerConfig = (settings: NatsServerSettings): string => {
  const { users, noAuthUser } = settings
  const names = new Set(users.map(({ user }) => user))
  if (names.size !== users.length)
    throw new GatewayError('two NATS users have the same name', { code: 'NATS_CONFIG_INVALID', retryable: false })
  if (noAuthUser !== undefined && !names.has(noAuthUser))
    throw new GatewayError(`no_auth_user ${noAuthUser} is none of the users`, {
      code: 'NATS_CONFIG_INVALID',
      retryable: false,
    })
  return [
    '# Written at every start; changes made here are lost.',
    `server_name: ${quoted(settings.serverName, 'the server name')}`,
    `host: ${quoted(settings.host, 'the host')}`,
    `port: ${settings.port}`,
    ...(settings.monitorPort === undefined
      ? []
      : [`http: ${quoted(`${settings.host}:${settings.monitorPort}`, 'the host')}`]),
    `max_payload: ${NATS_MAX_PAYLOAD_BYTES}`,
    // A client that does not read for ten seconds is cut off, rather than holding memory for it.
    'write_deadline: "10s"',
    'jetstream: {',
    `  store_dir: ${quoted(settings.storeDir, 'the store folder')}`,
    `  max_memory_store: ${settings.maxMemoryBytes}`,
    `  max_file_store: ${settings.maxFileBytes}`,
    ...(settings.syncAlways ? ['  sync_interval: always'] : []),
    '}',
    ...(users.length === 0 ? [] : ['authorization: {', '  users: [', ...users.flatMap(userLines), '  ]', '}']),
    ...(noAuthUser === undefined ? [] : [`no_auth_user: ${quoted(noAuthUser, 'the user name')}`]),
    '',
  ].join('\n')
}
