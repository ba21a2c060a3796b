import { connectNats, createPublisher, type NatsLog } from '@cloudapi2/nats'
import { InvalidOption } from './errors.ts'
import { validName } from './event-selection.ts'
import { createEvents, type Events } from './events.client.ts'
import { consoleLog } from './log.client.ts'
import { createSender, type Sender } from './send.client.ts'

export interface GatewayOptions {
  /** `nats://host:port`, several separated by commas; `tls://` for TLS. May hold user and password. */
  natsUrl: string
  /** Who is asking: shown by the server, told to the log as `requested_by`, part of the reply subjects `_INBOX.<name>.>`. */
  name: string
  /** With `password`: the NATS user, in place of one in the URL. */
  user?: string
  password?: string
  /** In place of user and password. */
  token?: string
  /** What goes on below; default: warnings and errors to standard error. It never sees contents. */
  log?: NatsLog
}

export interface Gateway extends Pick<Sender, 'send'> {
  events: Pick<Events, 'subscribe' | 'read'>
  /** False while the connection is lost; it comes back by itself. */
  isConnected: () => boolean
  /** Ends every subscription, its handlers first, and closes. Commands that are stored are worked on all the same. */
  stop: () => Promise<void>
}

/**
 * Connects to the gateway's nats-server, for as long as the process lives: a lost connection comes back, and subscriptions
 * go on where they were. Waits for a server that is not there yet.
 *
 * @throws InvalidOption
 * @throws GatewayError NATS_UNREACHABLE when the server refuses the credentials
 */
export const connectGateway = async (options: GatewayOptions): Promise<Gateway> => {
  const { natsUrl, token, log = consoleLog } = options
  const name = validName('name', options.name)
  const nats = await connectNats({
    url: withUser(natsUrl, options),
    name,
    log,
    ...(token === undefined ? {} : { token }),
  })
  const sender = createSender(nats, { name })
  const publisher = createPublisher(nats, { timeoutMs: 2_000 })
  const events = createEvents(nats, { name, log, publisher })
  let stopped: Promise<void> | undefined
  const stop = async () => {
    await events.stop()
    sender.stop()
    publisher.close()
    await nats.close()
  }
  return {
    send: sender.send,
    events: { subscribe: events.subscribe, read: events.read },
    isConnected: nats.isConnected,
    stop: () => {
      stopped ??= stop()
      return stopped
    },
  }
}

const withUser = (natsUrl: string, { user, password, token }: Partial<GatewayOptions>): string => {
  if (token !== undefined && user !== undefined) throw new InvalidOption('token', 'either a token or a user')
  if ((user === undefined) !== (password === undefined)) throw new InvalidOption('user', 'user and password together')
  return natsUrl
    .split(',')
    .map((part) => {
      if (!URL.canParse(part.trim())) throw new InvalidOption('natsUrl', 'such as nats://127.0.0.1:4222')
      const url = new URL(part.trim())
      if (user !== undefined) {
        url.username = encodeURIComponent(user)
        url.password = encodeURIComponent(password as string)
      }
      return url.href
    })
    .join(',')
}
