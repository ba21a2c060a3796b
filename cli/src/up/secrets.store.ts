import { randomBytes } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GatewayError } from '@cloudapi2/contracts'
import { SERVICES } from '@cloudapi2/nats'
import { z } from 'zod'

/** What `up` made up at its first start, and needs again at every later one. */
const Secrets = z.object({
  admin_token: z.string(),
  secrets_keys: z.string(),
  postgres_password: z.string(),
  /** By NATS user: `operator` and each service. */
  nats_passwords: z.record(z.string(), z.string()),
  demo: z.object({
    access_token: z.string(),
    app_secret: z.string(),
    verify_token: z.string(),
    /** Shown once by tenant-config; kept here so that it can be shown again. */
    api_key: z.string().optional(),
  }),
})
export type Secrets = z.infer<typeof Secrets>

const fileOf = (dataDir: string) => join(dataDir, 'secrets.json')

/** 24 random bytes, in letters that need no quoting anywhere. */
const newSecret = (): string => randomBytes(24).toString('base64url')

const firstSecrets = (): Secrets => ({
  admin_token: newSecret(),
  secrets_keys: `k1:${randomBytes(32).toString('base64')}`,
  postgres_password: newSecret(),
  nats_passwords: Object.fromEntries(['operator', ...SERVICES].map((user) => [user, newSecret()])),
  // In the form of Meta's, so that everything that handles them sees what it will see.
  demo: { access_token: `EAA${newSecret()}`, app_secret: randomBytes(16).toString('hex'), verify_token: newSecret() },
})

/**
 * Reads the generated secrets of a data folder, or makes them.
 *
 * @throws GatewayError SECRETS_UNREADABLE: making new ones would lock everybody out of what the old ones sealed
 */
export const loadSecrets = async (dataDir: string): Promise<Secrets> => {
  let text: string
  try {
    text = await readFile(fileOf(dataDir), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw unreadable(dataDir, error)
    const secrets = firstSecrets()
    await saveSecrets(dataDir, secrets)
    return secrets
  }
  try {
    const secrets = Secrets.parse(JSON.parse(text))
    // A service that a later version added.
    const missing = SERVICES.filter((service) => secrets.nats_passwords[service] === undefined)
    if (missing.length === 0) return secrets
    for (const service of missing) secrets.nats_passwords[service] = newSecret()
    await saveSecrets(dataDir, secrets)
    return secrets
  } catch (error) {
    throw unreadable(dataDir, error)
  }
}

export const saveSecrets = async (dataDir: string, secrets: Secrets): Promise<void> => {
  const draft = `${fileOf(dataDir)}.new`
  await writeFile(draft, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600 })
  await rename(draft, fileOf(dataDir))
}

const unreadable = (dataDir: string, cause: unknown) =>
  new GatewayError(
    `${fileOf(dataDir)} cannot be read: put it back from a copy, or start with an empty DATA_DIR (its data cannot be opened without it)`,
    // The parser's own words quote the file: they stay out of the message, and the cause out of what is printed.
    { code: 'SECRETS_UNREADABLE', retryable: false, cause },
  )
