import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { GatewayError } from '@cloudapi2/contracts'

/**
 * The NATS server to talk to: NATS_URL, else that of the installation that runs on DATA_DIR.
 *
 * @throws GatewayError NO_INSTALLATION when neither is there
 */
export const natsUrlOf = async (env: NodeJS.ProcessEnv): Promise<string> => {
  if (env.NATS_URL) return env.NATS_URL
  const file = join(resolve(env.DATA_DIR || '.data'), 'runtime.json')
  try {
    return (JSON.parse(await readFile(file, 'utf8')) as { nats_url: string }).nats_url
  } catch (cause) {
    throw new GatewayError(`set NATS_URL, or run "npm start" first: ${file} is not there`, {
      code: 'NO_INSTALLATION',
      retryable: false,
      cause,
    })
  }
}
