import { setTimeout as wait } from 'node:timers/promises'
import type { TenantDirectory } from './tenant-directory.ts'

/** How often it is looked. */
const LOOK_MS = 50

/** Resolves once every tenant is known. Rejects with the signal. */
export const untilLoaded = async (tenants: Pick<TenantDirectory, 'isLoaded'>, signal: AbortSignal): Promise<void> => {
  while (!tenants.isLoaded()) await wait(LOOK_MS, undefined, { signal })
}
