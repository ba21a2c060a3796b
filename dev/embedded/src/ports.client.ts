import { createServer } from 'node:net'
import { GatewayError } from '@cloudapi2/contracts'

export interface PortWish {
  /** The variable that sets the port, e.g. `EMBEDDED_NATS_PORT`. */
  name: string
  /** 1 to 65535, or 0 for any free one. */
  wanted: number
  /** True when somebody set the variable, false when `wanted` is its default. */
  explicit: boolean
}

export interface PortChoice {
  port: number
  /** True when the default was taken and another port stands in for it. */
  fellBack: boolean
}

/**
 * Below the range the kernel gives to outgoing connections (32768 and up on Linux, 49152 on macOS): a port from there
 * could be taken by any connection while its server restarts.
 */
const FREE_PORTS = { first: 20_000, last: 32_000 }

/** Ports given out by this process; a server may not have bound its port yet when the next one is chosen. */
const chosen = new Set<number>()

/** The error code of binding, e.g. EADDRINUSE; undefined when the port can be bound. */
const bindProblem = (port: number): Promise<string | undefined> =>
  new Promise((settle) => {
    const server = createServer()
    server.unref()
    server.once('error', (error: NodeJS.ErrnoException) => settle(error.code ?? error.message))
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => server.close(() => settle(undefined)))
  })

const freePort = async (): Promise<number> => {
  const count = FREE_PORTS.last - FREE_PORTS.first
  const start = Math.floor(Math.random() * count)
  for (let step = 0; step < count; step += 1) {
    const port = FREE_PORTS.first + ((start + step) % count)
    if (chosen.has(port)) continue
    chosen.add(port) // before the check, so that two choices at the same time differ
    if ((await bindProblem(port)) === undefined) return port
    chosen.delete(port)
  }
  throw new GatewayError(`no free port between ${FREE_PORTS.first} and ${FREE_PORTS.last} on 127.0.0.1`, {
    code: 'PORT_TAKEN',
    retryable: true,
  })
}

/**
 * Chooses a port of 127.0.0.1 that can be bound now and that this process has not chosen before.
 *
 * @throws GatewayError PORT_TAKEN when the port was set explicitly and cannot be bound; it names the variable
 */
export const choosePort = async ({ name, wanted, explicit }: PortWish): Promise<PortChoice> => {
  if (!Number.isInteger(wanted) || wanted < 0 || wanted > 65_535)
    throw new GatewayError(`${name} must be a port, 1 to 65535`, { code: 'PORT_INVALID', retryable: false })
  if (wanted === 0) return { port: await freePort(), fellBack: false }

  let problem: string | undefined
  if (chosen.has(wanted)) problem = 'another part of this run has it'
  else {
    chosen.add(wanted)
    const code = await bindProblem(wanted)
    if (code === undefined) return { port: wanted, fellBack: false }
    chosen.delete(wanted)
    problem =
      code === 'EADDRINUSE'
        ? 'another program listens there'
        : code === 'EACCES'
          ? 'this user may not listen there'
          : code
  }
  if (explicit)
    throw new GatewayError(`${name} is set to ${wanted}, which cannot be used on 127.0.0.1: ${problem}`, {
      code: 'PORT_TAKEN',
      retryable: false,
    })
  return { port: await freePort(), fellBack: true }
}
