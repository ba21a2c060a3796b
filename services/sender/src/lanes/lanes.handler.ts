import { setMaxListeners } from 'node:events'
import { COMMAND_SUBJECT_HEADER, parseLaneSubject, subjects } from '@cloudapi2/contracts'
import {
  COMMANDS,
  type Consumer,
  consumeEach,
  type Delivery,
  type Leases,
  type Nats,
  type Outcome,
  outcomeOfError,
  type Publisher,
  removeConsumer,
  storedUnder,
} from '@cloudapi2/nats'
import type { Logger } from '@cloudapi2/service-kit'

export interface LanesDeps {
  nats: Nats
  log: Logger
  publisher: Publisher
  leases: Leases
  /** Works one command to its end; its subject is the one it came on. `leaving`: whatever only waits is to come back. */
  work: (delivery: Delivery, leaving: AbortSignal) => Promise<Outcome>
  /** Commands of one number held in memory, those that wait for their turn included. */
  window: (phoneNumberId: string) => number
  /** A lane without work is closed after this. */
  idleMs: number
  /** How often it is looked for lanes that have work and no owner. */
  sweepMs: number
  /** How long after its death a process is thought to work on what it had in hand. Default: that of libs/nats. */
  ackWaitMs?: number
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
/** The server forgets the consumer of a lane whose owner died after this: longer than a lease and a sweep. */
const INACTIVE_MS = 60_000
/** A lane that somebody else owns is asked for again after this at the earliest, however many commands come for it. */
const ASK_AGAIN_MS = 250
/** Lanes that the sweep asks for at the same time: after a restart there may be thousands. */
const SWEPT_TOGETHER = 64

/** A lane as this process knows it. */
interface Known {
  /** Settles when it is open, or was refused. */
  opening: Promise<void>
  /** Set while it is owned. */
  close: (() => Promise<void>) | undefined
  /** Somebody put a command into it while it was asked for. */
  isAskedAgain: boolean
}

const durableOf = (phoneNumberId: string, priority: (typeof PRIORITIES)[number]) => `lane-${phoneNumberId}-${priority}`

/**
 * A lane per number, so that no number waits behind another (docs/adr/0011-lanes-and-leases.md). A lane has consumers
 * only while it has work, and one owner at a time, by a lease: pacing then needs no coordination.
 *
 * Nothing is left lying. Whoever puts a command into a lane has it stored first and asks for the lease afterwards;
 * whoever closes a lane releases its lease first and looks into the lane afterwards. Were the command not seen by
 * either, it was stored after the look and its lease asked for before the release, and both cannot be: the release comes
 * before the look. Asking while an earlier question is under way is remembered and asked once more (`isAskedAgain`), as
 * the earlier one may have been refused too early. Whoever dies between two of these steps is covered by the sweep.
 */
export const createLanes = (deps: LanesDeps): Lanes => {
  const { nats, log, leases, stopping } = deps
  const lanes = new Map<string, Known>()
  let owned = 0

  const ensure = (phoneNumberId: string): Promise<void> => {
    if (stopping.aborted) return Promise.resolve()
    const known = lanes.get(phoneNumberId)
    if (known !== undefined) {
      known.isAskedAgain = true
      return known.opening
    }
    const lane: Known = { opening: Promise.resolve(), close: undefined, isAskedAgain: false }
    lanes.set(phoneNumberId, lane)
    lane.opening = open(phoneNumberId, lane)
      .catch((err: unknown) => log.warn({ event: 'lane.not_opened', phone_number_id: phoneNumberId, err }))
      .then(() => {
        if (lane.close !== undefined) return
        setTimeout(() => {
          lanes.delete(phoneNumberId)
          if (lane.isAskedAgain) void ensure(phoneNumberId)
        }, ASK_AGAIN_MS).unref()
      })
    return lane.opening
  }

  const open = async (phoneNumberId: string, lane: Known): Promise<void> => {
    // Aborts for all that waits in this lane, and for the lane alone.
    const leaving = new AbortController()
    setMaxListeners(0, leaving.signal)
    let isLost = false
    const lease = await leases.take(`lane.${phoneNumberId}`, () => {
      isLost = true
      void lane.close?.()
    })
    if (lease === undefined) return
    const consumers: Consumer[] = []
    let inHand = 0
    /** Until when it counts as busy without anything in hand: what comes later is at the server meanwhile. */
    let busyUntil = performance.now()

    const handler = async (delivery: Delivery): Promise<Outcome> => {
      const subject = delivery.header(COMMAND_SUBJECT_HEADER) ?? delivery.subject
      let outcome: Outcome | undefined
      inHand++
      try {
        outcome = await deps
          .work({ ...delivery, subject }, leaving.signal)
          .catch((error: unknown) => outcomeOfError(error, delivery.deliveryCount))
        // The lane is ours alone: people know the subject that the command was sent to.
        return outcome.kind === 'dead' ? { ...outcome, headers: { ...outcome.headers, Subject: subject } } : outcome
      } finally {
        inHand--
        // A closed lane forgets how often it delivered what is to come later.
        const delayMs = outcome?.kind === 'later' ? outcome.delayMs : 0
        busyUntil = Math.max(busyUntil, performance.now() + delayMs + deps.idleMs)
      }
    }

    try {
      for (const priority of PRIORITIES) {
        const window = priority === 'high' ? HIGH_WINDOW : deps.window(phoneNumberId)
        consumers.push(
          await consumeEach({
            nats,
            log,
            publisher: deps.publisher,
            service: 'sender',
            stream: COMMANDS,
            durable: durableOf(phoneNumberId, priority),
            filterSubjects: [subjects.laneCommand(phoneNumberId, priority)],
            inactiveThresholdMs: INACTIVE_MS,
            ...(deps.ackWaitMs === undefined ? {} : { ackWaitMs: deps.ackWaitMs }),
            concurrency: window,
            maxBuffered: Math.ceil(window / 2),
            handler,
          }),
        )
      }
    } catch (error) {
      leaving.abort(error)
      await Promise.all(consumers.map((consumer) => consumer.stop()))
      await lease.release()
      throw error
    }
    owned++
    busyUntil = performance.now() + deps.idleMs
    log.info({ event: 'lane.opened', phone_number_id: phoneNumberId })

    let closed: Promise<void> | undefined
    lane.close = () => {
      closed ??= close().catch((err: unknown) => {
        log.error({ event: 'lane.not_closed', phone_number_id: phoneNumberId, err })
      })
      return closed
    }
    const close = async () => {
      clearInterval(idle)
      try {
        // Also when it was idle: what came in this moment may have to wait for hours, and nobody would take from the lane.
        leaving.abort(new Error('the lane is closing'))
        await Promise.all(consumers.map((consumer) => consumer.stop()))
        // Another's by now, when the lease was lost.
        if (!isLost) await removeConsumers(phoneNumberId)
        await lease.release()
      } finally {
        owned--
        lanes.delete(phoneNumberId)
        log.info({ event: 'lane.closed', phone_number_id: phoneNumberId, lost: isLost })
      }
      if (stopping.aborted) nats.publish(subjects.laneLeft, phoneNumberId)
      else await look(phoneNumberId)
    }
    const idle = setInterval(() => {
      if (inHand === 0 && performance.now() >= busyUntil) void lane.close?.()
    }, deps.idleMs / 4)
    idle.unref()
    if (isLost || stopping.aborted) void lane.close()
  }

  const removeConsumers = async (phoneNumberId: string) => {
    try {
      await Promise.all(
        PRIORITIES.map((priority) => removeConsumer(nats, COMMANDS, durableOf(phoneNumberId, priority))),
      )
    } catch (err) {
      log.warn({ event: 'lane.not_removed', phone_number_id: phoneNumberId, err }) // the server will
    }
  }

  /** Opens the lane when it has work. */
  const look = async (phoneNumberId: string) => {
    try {
      const left = await storedUnder(nats, COMMANDS, subjects.laneCommands(phoneNumberId))
      if (left.size > 0) await ensure(phoneNumberId)
    } catch (err) {
      log.warn({ event: 'lane.not_looked_at', phone_number_id: phoneNumberId, err }) // the sweep will
    }
  }

  const sweep = async () => {
    if (!nats.isConnected()) return
    try {
      const withWork = new Set(
        [...(await storedUnder(nats, COMMANDS, subjects.allLaneCommands)).keys()].map(parseLaneSubject),
      )
      const unknown = [...withWork].filter((number): number is string => number !== undefined && !lanes.has(number))
      while (unknown.length > 0) await Promise.all(unknown.splice(0, SWEPT_TOGETHER).map(ensure))
    } catch (err) {
      log.warn({ event: 'lanes.not_swept', err })
    }
  }
  let sweeping: Promise<void> | undefined
  const sweepOnce = () => {
    sweeping ??= sweep().finally(() => {
      sweeping = undefined
    })
  }
  const timer = setInterval(sweepOnce, deps.sweepMs)
  timer.unref()
  sweepOnce()

  const stopHearing = nats.subscribe(subjects.laneLeft, ({ data }) => {
    if (!stopping.aborted) void look(Buffer.from(data).toString())
  })

  return {
    ensure: (phoneNumberId) => void ensure(phoneNumberId),
    owned: () => owned,
    stop: async () => {
      clearInterval(timer)
      stopHearing()
      await sweeping
      await Promise.all(
        [...lanes.values()].map(async (lane) => {
          await lane.opening
          await lane.close?.()
        }),
      )
    },
  }
}
