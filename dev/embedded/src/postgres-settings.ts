/** How a cluster is made, beside the folder and the password. */
export const initdbArgs = ({
  clusterDir,
  superuser,
  passwordFile,
  sync,
}: {
  clusterDir: string
  superuser: string
  passwordFile: string
  /** False leaves the writing to disk to the system: for tests. */
  sync: boolean
}): string[] => [
  `--pgdata=${clusterDir}`,
  `--username=${superuser}`,
  `--pwfile=${passwordFile}`,
  '--auth=scram-sha-256',
  '--encoding=UTF8',
  // Byte order for every index and comparison, the same on every machine; the builtin provider adds upper and lower
  // case of letters beyond ASCII, which plain C does not know.
  '--locale=C',
  '--locale-provider=builtin',
  '--builtin-locale=C.UTF-8',
  '--no-instructions',
  ...(sync ? [] : ['--no-sync']),
]

/**
 * The settings of the running server. They are given on the command line, so that a cluster made by an older version
 * runs with today's, and whatever is in its postgresql.conf does not matter.
 */
export const serverArgs = ({
  clusterDir,
  port,
  durable,
  platform,
}: {
  clusterDir: string
  port: number
  /** `process.platform` */
  platform: string
  /** False turns off fsync: for tests that do not pull the plug. */
  durable: boolean
}): string[] => {
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    // No socket file: its path may have 107 bytes at most, and a data folder may lie deeper.
    unix_socket_directories: '',
    max_connections: '100',
    shared_buffers: '128MB',
    fsync: durable ? 'on' : 'off',
    full_page_writes: durable ? 'on' : 'off',
    max_wal_size: '512MB',
    // After a crash every file is brought to disk first. One syncfs() takes a hundredth of the time of a thousand
    // fsync(), where there is one: a killed server was back in 0.4 s instead of 2.
    ...(platform === 'linux' ? { recovery_init_sync_method: 'syncfs' } : {}),
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_destination: 'stderr',
    logging_collector: 'off',
    // The values of a failed statement may be a customer's: the statement and its error are enough.
    log_parameter_max_length_on_error: '0',
    log_error_verbosity: 'terse',
    log_min_error_statement: 'panic',
  }
  return ['-D', clusterDir, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
}

/** postgres://user:password@host:port/database, with what is special in a URL escaped. */
export const databaseUrl = ({
  superuser,
  password,
  port,
  database,
}: {
  superuser: string
  password: string
  port: number
  database: string
}): string =>
  `postgres://${encodeURIComponent(superuser)}:${encodeURIComponent(password)}@127.0.0.1:${port}/${encodeURIComponent(database)}`
