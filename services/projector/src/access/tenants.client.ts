import type { Logger } from '@cloudapi2/service-kit'
import { createTenantDirectory, type TenantDirectory, type TenantSource } from '@cloudapi2/tenants'

/** No key opens anything: what is sealed stays sealed. */
const NO_KEYS = { firstId: '', byId: new Map() }

/**
 * Every tenant with its API keys, and none of its secrets. This service only has to know who may read, so it is given no
 * key to open anything with, and that secrets stay shut is no fault to report.
 */
export const tenantsWithoutSecrets = (source: TenantSource, log: Logger): Promise<TenantDirectory> =>
  createTenantDirectory({
    source,
    keys: NO_KEYS,
    log: {
      info: (line) => log.info(line),
      warn: (line) => log.warn(line),
      error: (line) => {
        if (line.event !== 'tenants.secret_unreadable') log.error(line)
      },
    },
  })
