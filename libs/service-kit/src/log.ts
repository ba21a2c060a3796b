import { type DestinationStream, destination, type Logger, pino } from 'pino'

export type { Logger } from 'pino'

/** Keys whose values never reach a log line, wherever they stand up to two levels deep. */
const SECRET_KEYS = [
  'password',
  'token',
  'access_token',
  'accessToken',
  'appSecret',
  'app_secret',
  'verifyToken',
  'verify_token',
  'adminToken',
  'apiKey',
  'api_key',
  'authorization',
  'secretsKeys',
  'databaseUrl',
  'natsUrl',
  'WHATSAPP_ACCESS_TOKEN',
  'WHATSAPP_APP_SECRET',
  'WHATSAPP_VERIFY_TOKEN',
]

/**
 * A pino logger: one JSON line per unit of work, written at its end. Lines leave in batches from a buffer, which is
 * flushed when the process exits.
 *
 * @param to where lines go; standard output unless given (tests)
 */
export const createLog = (
  { service, level }: { service: string; level: string },
  to: DestinationStream = destination({ fd: 1, sync: false }),
): Logger =>
  pino(
    {
      level,
      base: { service },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]), censor: '[secret]' },
    },
    to,
  )
