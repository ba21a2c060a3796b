import { openDatabase } from '@cloudapi2/read-model'

/** The pool of connections that a task gets. */
export type Database = ReturnType<typeof openDatabase>

/**
 * A database for as long as `task` takes.
 *
 * @throws whatever the task throws; `databaseReason` puts it into words
 */
export const withDatabase = async <T>(databaseUrl: string, task: (database: Database) => Promise<T>): Promise<T> => {
  const database = openDatabase({ databaseUrl, poolSize: 1, applicationName: 'cloudapi', log: { warn: () => {} } })
  try {
    return await task(database)
  } finally {
    await database.end()
  }
}

/** `SQLSTATE 28P01`, `ECONNREFUSED`: the driver's own words may quote the URL or a row. */
export const databaseReason = (error: unknown): string => {
  const { code, name } = error as NodeJS.ErrnoException
  if (code === undefined) return name === 'Error' ? 'no answer in time' : (name ?? 'unknown')
  return /^[0-9A-Z]{5}$/.test(code) && /\d/.test(code) ? `SQLSTATE ${code}` : code
}
