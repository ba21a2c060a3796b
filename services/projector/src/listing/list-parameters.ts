import { invalidFields } from '@cloudapi2/contracts'
import { decodeCursor, MAX_PAGE } from '@cloudapi2/read-model'
import { invalidRequest } from '@cloudapi2/service-kit'
import { z } from 'zod'

export const DEFAULT_PAGE = 50

/** Long enough for any id of a channel. PostgreSQL takes no U+0000. */
export const word = z
  .string('expected one value')
  .min(1, 'expected a value')
  .max(800, 'expected at most 800 characters')
  .refine((text) => !text.includes('\u0000'), 'expected no U+0000')

export const moment = z
  .string('expected one value')
  .pipe(z.iso.datetime({ offset: true, error: 'expected a time such as 2026-11-24T08:15:30Z' }))
  // With the years 0 and 10000, which an offset can reach, PostgreSQL and ISO 8601 part ways.
  .refine((text) => !text.startsWith('0000') && !text.startsWith('9999'), 'expected a year from 0001 to 9998')
  .transform((text) => new Date(text))

/** What every list takes. */
export const paging = {
  limit: z
    .string('expected one value')
    .regex(/^[0-9]{1,6}$/, `expected a number from 1 to ${MAX_PAGE}`)
    .transform(Number)
    .pipe(
      z
        .number()
        .min(1, `expected a number from 1 to ${MAX_PAGE}`)
        .max(MAX_PAGE, `expected a number from 1 to ${MAX_PAGE}`),
    )
    .optional(),
  cursor: z
    .string('expected one value')
    .transform((text, context) => {
      const cursor = decodeCursor(text)
      if (cursor !== undefined) return cursor
      context.addIssue({ code: 'custom', message: 'expected the next_cursor of an earlier page' })
      return z.NEVER
    })
    .optional(),
}

/** Drops the keys that are undefined. */
export const present = <T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never

/**
 * Reads a query string.
 *
 * @throws Problem 400 INVALID_REQUEST naming every parameter that is wrong or unknown
 */
export const readQuery = <T extends z.ZodObject>(schema: T, query: unknown): z.output<T> => {
  const parsed = schema.safeParse(query)
  if (!parsed.success) {
    throw invalidRequest(
      parsed.error.issues.flatMap((issue) =>
        issue.code === 'unrecognized_keys'
          ? issue.keys.map((key) => ({ path: key.slice(0, 40), message: 'there is no such parameter' }))
          : invalidFields(new z.ZodError([issue])),
      ),
    )
  }
  return parsed.data
}
