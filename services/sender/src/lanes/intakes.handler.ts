import { createHash } from 'node:crypto'
import { subjects } from '@cloudapi2/contracts'
import { COMMANDS, consumeEach, type Nats, type Publisher, removeConsumer, storedUnder } from '@cloudapi2/nats'
import type { Logger } from '@cloudapi2/service-kit'
import type { Intake } from './intake.handler.ts'

export interface IntakesDeps {
  nats: Nats
  log: Logger
  publisher: Publisher
  intake: Intake
  /** Commands of one subject on their way at the same time. */
  concurrency: number
  /** Nothing is taken from a subject any more that has been without commands for this long. */
  idleMs: number
  /** How often it is looked for commands of which nobody heard. */
  sweepMs: number
  stopping: AbortSignal
}

export interface Intakes {
  /** False until commands are heard, and those that were there before have been looked for. */
  isStarted: () => boolean
  stop: () => Promise<void>
}

/** Senders that hear of a command: one of them each time. */
const QUEUE = 'sender'
/** What consumed all subjects as one, in a version of before. The server lets no two consumers have the same commands. */
const FORMER_DURABLE = 'sender'
/** The server keeps a subject's consumer this long without anybody who takes from it, and with it counts of deliveries. */
const INACTIVE_MS = 60_000

/** A subject that is taken from. */
interface Taken {
  /** When a command of it was heard of or came. */
  busyAt: number
  /** It is being closed, and takes nothing more. */
  isClosing: boolean
  /** There are commands for whoever opens it anew. */
  isWantedAgain: boolean
  done: Promise<void>
}

/**
 * Takes commands from the queue, each subject (hence each company) by a consumer of its own: behind a company that has a
 * hundred thousand on their way nobody else waits. Such a consumer exists while there are commands; that there are is
 * heard by a plain subscription to the same subjects, or found by a sweep. Whoever takes needs no lease: several
 * processes may take from one consumer.
 */
export const startIntakes = (deps: IntakesDeps): Intakes => {
  const { nats, log, intake, stopping } = deps
  const subjectsTaken = new Map<string, Taken>()
  let isStarted = false

  const take = (subject: string) => {
    if (stopping.aborted) return
    const known = subjectsTaken.get(subject)
    if (known !== undefined) {
      known.busyAt = performance.now()
      // It may have come too late for this one.
      known.isWantedAgain ||= known.isClosing
      return
    }
    const taken: Taken = {
      busyAt: performance.now(),
      isClosing: false,
      isWantedAgain: false,
      done: Promise.resolve(),
    }
    subjectsTaken.set(subject, taken)
    taken.done = takeUntilIdle(subject, taken)
      .catch((err: unknown) => log.warn({ event: 'intake.failed', err })) // the sweep tries again
      .then(() => {
        subjectsTaken.delete(subject)
        if (taken.isWantedAgain) take(subject)
      })
  }

  const takeUntilIdle = async (subject: string, taken: Taken): Promise<void> => {
    const consumer = await consumeEach({
      nats,
      log,
      publisher: deps.publisher,
      service: 'sender',
      stream: COMMANDS,
      // Whatever the subject is: what has no company or another form must not lie in the queue for ever.
      durable: `intake-${createHash('sha256').update(subject).digest('hex').slice(0, 32)}`,
      filterSubjects: [subject],
      inactiveThresholdMs: INACTIVE_MS,
      concurrency: deps.concurrency,
      handler: (delivery) => {
        taken.busyAt = performance.now()
        return intake.handler(delivery)
      },
    })
    await new Promise<void>((resolve) => {
      const end = () => {
        clearInterval(timer)
        stopping.removeEventListener('abort', end)
        resolve()
      }
      const timer = setInterval(() => {
        if (consumer.inHand() === 0 && performance.now() - taken.busyAt >= deps.idleMs) end()
      }, deps.idleMs / 4)
      timer.unref()
      stopping.addEventListener('abort', end)
      if (stopping.aborted) end()
    })
    taken.isClosing = true
    await consumer.stop()
    // Heard of before it was left, and stored or handed back only then.
    if (!stopping.aborted && (await storedUnder(nats, COMMANDS, subject)).size > 0) taken.isWantedAgain = true
  }

  const sweep = async () => {
    if (!nats.isConnected()) return
    try {
      for (const subject of (await storedUnder(nats, COMMANDS, subjects.allSendCommands)).keys()) take(subject)
    } catch (err) {
      log.warn({ event: 'intakes.not_swept', err })
    }
  }

  const stopHearing = nats.subscribe(
    subjects.allSendCommands,
    (heard) => {
      take(heard.subject)
      intake.overtake(heard).catch((err: unknown) => log.warn({ event: 'intake.not_overtaken', err })) // it has its turn
    },
    { queue: QUEUE },
  )
  let sweeping: Promise<void> = removeConsumer(nats, COMMANDS, FORMER_DURABLE)
    .catch((err: unknown) => log.warn({ event: 'intake.former_not_removed', err }))
    .then(sweep)
    .then(() => {
      isStarted = true
    })
  const timer = setInterval(() => {
    sweeping = sweeping.then(sweep)
  }, deps.sweepMs)
  timer.unref()

  return {
    isStarted: () => isStarted,
    stop: async () => {
      clearInterval(timer)
      stopHearing()
      await sweeping
      await Promise.all([...subjectsTaken.values()].map(({ done }) => done))
    },
  }
}
