import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** What runs where, for people and programs; mode 0600, because it holds tokens. */
export interface Runtime {
  urls: Record<string, string>
  nats_url: string
  database_url: string
  /** Where there is an archive. */
  eventstore_url?: string
  admin_token: string
  pids: Record<string, number>
  demo?: {
    company_id: string
    phone_number_id: string
    waba_id: string
    app_secret: string
    verify_token: string
    api_key: string
  }
}

const fileOf = (dataDir: string) => join(dataDir, 'runtime.json')

/** Writes it whole or not at all. Synchronous: it is also written while a child has just died. */
export const writeRuntime = (dataDir: string, runtime: Runtime): void => {
  const draft = `${fileOf(dataDir)}.new`
  writeFileSync(draft, `${JSON.stringify(runtime, null, 2)}\n`, { mode: 0o600 })
  renameSync(draft, fileOf(dataDir))
}

/** Nothing runs any more: a file that says otherwise would mislead. */
export const removeRuntime = (dataDir: string): void => rmSync(fileOf(dataDir), { force: true })
