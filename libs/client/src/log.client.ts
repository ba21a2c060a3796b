import type { NatsLog } from '@cloudapi2/nats'

const line = (line: Record<string, unknown>): string =>
  JSON.stringify(line, (_key, value: unknown) =>
    value instanceof Error ? { name: value.name, message: value.message, stack: value.stack } : value,
  )

/** For a caller that brings no log: what is wrong goes to standard error, one JSON object a line; the rest nowhere. */
export const consoleLog: NatsLog = {
  info: () => {},
  warn: (entry) => console.warn(line({ level: 'warn', ...entry })),
  error: (entry) => console.error(line({ level: 'error', ...entry })),
}
