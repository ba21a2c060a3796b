import { type DestinationStream, destination, type Logger, pino } from 'pino'

export type { Logger } from 'pino'

/** Keys whose values never reach a log line, however deep they stand. */
const SECRET_KEYS: ReadonlySet<string> = new Set([
  'password',
  'token',
  'access_token',
  'accessToken',
  'appSecret',
  'appSecrets',
  'app_secret',
  'metaAppSecrets',
  'verifyToken',
  'verify_token',
  'metaVerifyToken',
  'adminToken',
  'admin_token',
  'apiKey',
  'api_key',
  'authorization',
  'secretsKeys',
  'secrets_keys',
  'databaseUrl',
  'natsUrl',
  'WHATSAPP_ACCESS_TOKEN',
  'WHATSAPP_APP_SECRET',
  'WHATSAPP_VERIFY_TOKEN',
])

/**
 * A copy without secrets, or the line itself when it has none to hide. Ours, because a line is written per webhook: the
 * logger's own path-based redaction took a tenth of the gateway's time, and sees only the depths it is told of.
 */
const withoutSecrets = (line: Record<string, unknown>): Record<string, unknown> => {
  let copy: Record<string, unknown> | undefined
  for (const key in line) {
    const value = line[key]
    const kept = SECRET_KEYS.has(key) ? '[secret]' : isPlainObject(value) ? withoutSecrets(value) : value
    if (kept === value) continue
    copy ??= { ...line }
    copy[key] = kept
  }
  return copy ?? line
}

const isPlainObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype

/** Lines are written out together: when there are this many bytes, or after this time. */
const BUFFER_BYTES = 4_096
const FLUSH_MS = 200

const standardOutput = (): DestinationStream => {
  const stream = destination({ fd: 1, sync: false, minLength: BUFFER_BYTES })
  setInterval(() => stream.flush(), FLUSH_MS).unref()
  return stream
}

/**
 * A pino logger: one JSON line per unit of work, written at its end. Lines leave in batches from a buffer, at most 200 ms
 * late; it is flushed when the process ends in an orderly way.
 *
 * @param to where lines go; standard output unless given (tests)
 */
export const createLog = (
  { service, level }: { service: string; level: string },
  to: DestinationStream = standardOutput(),
): Logger =>
  pino(
    {
      level,
      base: { service },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: withoutSecrets },
    },
    to,
  )
