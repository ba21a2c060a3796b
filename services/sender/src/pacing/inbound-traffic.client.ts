import { subjects } from '@cloudapi2/contracts'
import type { Nats } from '@cloudapi2/nats'

const COUNTED = ['"direction":"inbound"', '"direction":"echo"'].map((text) => Buffer.from(text))

/** The number of a message that did not come from this gateway, by the event that tells of it; undefined otherwise. */
export const numberOfInbound = (data: Uint8Array): string | undefined => {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  // Most of what is told here are our own messages: these need not be read.
  if (!COUNTED.some((text) => bytes.includes(text))) return undefined
  try {
    const { data: message } = JSON.parse(bytes.toString()) as { data?: Record<string, unknown> }
    const isCounted = message?.direction === 'inbound' || message?.direction === 'echo'
    return isCounted && typeof message.phone_number_id === 'string' ? message.phone_number_id : undefined
  } catch {
    return undefined // not ours to complain about: whoever folds the log makes a dead letter of it
  }
}

/**
 * Hears of every message that comes in, or leaves from the phone, as it is stored: the channel counts those against the
 * number's rate as well. Nothing is kept for a sender that is away: what it has missed is over after a second.
 *
 * @returns how to stop
 */
export const hearInbound = (nats: Pick<Nats, 'subscribe'>, count: (phoneNumberId: string) => void): (() => void) =>
  nats.subscribe(subjects.eventsOfType('message.created'), ({ data }) => {
    const number = numberOfInbound(data)
    if (number !== undefined) count(number)
  })
