import { COMMAND_SUBJECT_HEADER, parseLaneSubject, subjects } from '@cloudapi2/contracts'
import {
  COMMANDS,
  type Consumer,
  consumeEach,
  type Delivery,
  type Nats,
  type Outcome,
  type Publisher,
  removeConsumer,
  storedUnder,
} from '@cloudapi2/nats'
import type { Logger } from '@cloudapi2/service-kit'
import type { Lease, Leases } from './leases.client.ts'

export interface LanesDeps {
  nats: Nats
  log: Logger
  publisher: Publisher
  leases: Leases
  /** Works one command to its end; its subject is the one it came on. */
  work: (delivery: Delivery) => Promise<Outcome>
  /** Commands of one number held in memory, those that wait for their turn included. */
  window: (phoneNumberId: string) => number
  /** A lane without work is closed after this. */
  idleMs: number
  /** How often it is looked for lanes that have work and no owner. */
  sweepMs: number
  stopping: AbortSignal
}

export interface Lanes {
  /** There is a command in the lane of this number: it is worked on here, unless another process does. */
  ensure: (phoneNumberId: string) => void
  owned: () => number
  /** Takes nothing new, finishes what the channel was asked, and leaves the lanes to others at once. */
  stop: () => Promise<void>
}

const PRIORITIES = ['high', 'normal'] as const
/** What comes first is rare: a window of its own, so that it never waits for a place behind what waits for its turn. */
const HIGH_WINDOW = 64
/** The server forgets the consumer of a lane whose owner died after this. */
const INACTIVE_MS = 30_000

interface Lane {
  close: () => Promise<void>
}

/**
 * A lane per number, so that no number waits behind another (docs/adr/0011-lanes-and-leases.md). A lane has consumers
 * only while it has work, and one owner at a time, by a lease: pacing then needs no coordination.
 *
 * Nothing is left lying: whoever puts a command into a lane asks for its lease afterwards. Refused, it was asked for
 * before the owner released it; and an owner looks once more after the release, so it sees that command. Whoever dies in
 * between is covered by the sweep.
 */
export const createLanes = (deps: LanesDeps): Lanes => {
  const { nats, log, leases, stopping } = deps
  /** Owned, or being opened. */
  const lanes = new Map<string, Promise<Lane | undefined>>()
  const closing = new Set<Promise<void>>()

  const ensure = (phoneNumberId: string): void => {
    if (stopping.aborted || lanes.has(phoneNumberId)) return
    const opening = open(phoneNumberId).catch((err: unknown) => {
      log.warn({ event: 'lane.not_opened', phone_number_id: phoneNumberId, err }) // the sweep tries again
      return undefined
    })
    lanes.set(phoneNumberId, opening)
    void opening.then((lane) => {
      if (lane === undefined && lanes.get(phoneNumberId) === opening) lanes.delete(phoneNumberId)
    })
  }

  const open = async (phoneNumberId: string): Promise<Lane | undefined> => {
    let isLost = false
    let close = async () => {}
    const lease = await leases.take(`lane.${phoneNumberId}`, () => {
      isLost = true
      void close()
    })
    if (lease === undefined) return undefined
    const lane = await start(phoneNumberId, lease, () => isLost).catch(async (error: unknown) => {
      await lease.release()
      throw error
    })
    close = lane.close
    if (isLost || stopping.aborted) void lane.close()
    return lane
  }

  const start = async (phoneNumberId: string, lease: Lease, isLost: () => boolean): Promise<Lane> => {
    let inHand = 0
    let busyAt = performance.now()
    const handler = async (delivery: Delivery): Promise<Outcome> => {
      inHand++
      try {
        return await deps.work({ ...delivery, subject: delivery.header(COMMAND_SUBJECT_HEADER) ?? delivery.subject })
      } finally {
        inHand--
        busyAt = performance.now()
      }
    }
    const consumers: Consumer[] = []
    const durableOf = (priority: string) => `lane-${phoneNumberId}-${priority}`
    for (const priority of PRIORITIES) {
      const window = priority === 'high' ? HIGH_WINDOW : deps.window(phoneNumberId)
      consumers.push(
        await consumeEach({
          nats,
          log,
          publisher: deps.publisher,
          service: 'sender',
          stream: COMMANDS,
          durable: durableOf(priority),
          filterSubjects: [subjects.laneCommand(phoneNumberId, priority)],
          inactiveThresholdMs: INACTIVE_MS,
          concurrency: window,
          maxBuffered: Math.ceil(window / 2),
          handler,
        }),
      )
    }
    log.info({ event: 'lane.opened', phone_number_id: phoneNumberId })

    let closed: Promise<void> | undefined
    const close = () => {
      closed ??= shut()
      closing.add(closed)
      return closed
    }
    const shut = async () => {
      clearInterval(idle)
      await Promise.all(consumers.map((consumer) => consumer.stop()))
      // Somebody else's by now, when the lease was lost.
      if (!isLost())
        await Promise.all(PRIORITIES.map((priority) => removeConsumer(nats, COMMANDS, durableOf(priority)))).catch(
          (err: unknown) => log.warn({ event: 'lane.not_removed', phone_number_id: phoneNumberId, err }),
        )
      await lease.release()
      lanes.delete(phoneNumberId)
      log.info({ event: 'lane.closed', phone_number_id: phoneNumberId, lost: isLost() })
      if (!stopping.aborted) await lookAgain(phoneNumberId)
    }
    const idle = setInterval(() => {
      if (inHand > 0 || performance.now() - busyAt < deps.idleMs) return
      void close().finally(() => closed && closing.delete(closed))
    }, deps.idleMs / 4)
    idle.unref()
    return { close }
  }

  const lookAgain = async (phoneNumberId: string) => {
    try {
      const left = await storedUnder(nats, COMMANDS, `cmd.lane.${phoneNumberId}.>`)
      if (left.size > 0) ensure(phoneNumberId)
    } catch (err) {
      log.warn({ event: 'lane.not_looked_at', phone_number_id: phoneNumberId, err }) // the sweep will
    }
  }

  let sweeping: Promise<void> | undefined
  const sweep = async () => {
    if (!nats.isConnected()) return
    try {
      for (const subject of (await storedUnder(nats, COMMANDS, subjects.allLaneCommands)).keys()) {
        const phoneNumberId = parseLaneSubject(subject)
        if (phoneNumberId !== undefined) ensure(phoneNumberId)
      }
    } catch (err) {
      log.warn({ event: 'lanes.not_swept', err })
    }
  }
  const sweepOnce = () => {
    sweeping ??= sweep().finally(() => {
      sweeping = undefined
    })
  }
  const timer = setInterval(sweepOnce, deps.sweepMs)
  timer.unref()
  sweepOnce()

  return {
    ensure,
    owned: () => lanes.size,
    stop: async () => {
      clearInterval(timer)
      await sweeping
      await Promise.all([...lanes.values()].map(async (opening) => (await opening)?.close()))
      await Promise.all(closing)
    },
  }
}
