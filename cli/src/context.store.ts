import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { GatewayError } from '@cloudapi2/contracts'
import { connectNats, createPublisher, type Nats, NatsUnreachable, type Publisher } from '@cloudapi2/nats'

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

/** What the connection would report of itself is told by the error that ends the command. */
const quiet = { info: () => {}, warn: () => {}, error: () => {} }

const CONNECT_TIMEOUT_MS = 5_000
const PUBLISH_TIMEOUT_MS = 5_000

/** A connection for one command. */
export interface Connection {
  nats: Nats
  publisher: Publisher
}

/**
 * Connects for as long as `task` takes.
 *
 * @throws GatewayError NO_INSTALLATION; NatsUnreachable within seconds when nobody answers, unlike a service
 */
export const withNats = async <T>(env: NodeJS.ProcessEnv, task: (connection: Connection) => Promise<T>): Promise<T> => {
  const url = await natsUrlOf(env)
  const nats = await connectNats({ url, name: 'cloudapi', log: quiet, giveUpAfterMs: CONNECT_TIMEOUT_MS }).catch(
    (error: unknown) => {
      if (!(error instanceof NatsUnreachable)) throw error
      const from = env.NATS_URL ? 'NATS_URL' : 'runtime.json; is "npm start" still running?'
      throw new GatewayError(`${error.message} (the address is from ${from})`, {
        code: error.code,
        retryable: true,
        cause: error,
      })
    },
  )
  const publisher = createPublisher(nats, { timeoutMs: PUBLISH_TIMEOUT_MS })
  try {
    return await task({ nats, publisher })
  } finally {
    publisher.close()
    await nats.close()
  }
}
