import { randomUUID } from 'node:crypto'
import {
  ANSWER_IF_PAUSED_HEADER,
  deterministicId,
  eventId,
  newEvent,
  parseRedrive,
  REDRIVE_HEADER,
  REPLY_TO_HEADER,
  type Redrive,
  SETTLED_HEADER,
  type SendCommand,
  type SendError,
  type SendOutcome,
  type StoredEvent,
  TRACEPARENT_HEADER,
} from '@cloudapi2/contracts'
import {
  ack,
  type Delivery,
  eventPublication,
  KvConflict,
  later,
  MAX_DELIVERIES,
  type Outcome,
  type Publisher,
} from '@cloudapi2/nats'
import { type Logger, traceparentFrom } from '@cloudapi2/service-kit'
import { messagesPerSecondOf, type Tenant, type TenantDirectory } from '@cloudapi2/tenants'
import type { Channel, PreparedMessage, SendResult, TemplateKnowledge, TemplateName } from '../channel/channel.ts'
import { callReport } from '../pacing/call-report.ts'
import type { Pacing, TurnVerdict } from '../pacing/pacing.ts'
import { chatIdOf, parseRecipient, type Recipient } from '../recipient/recipient.ts'
import type { Templates } from '../template/templates.store.ts'
import type { SenderLookup } from '../tenant-resolution/sender-lookup.handler.ts'
import { fingerprintOf, ledgerKey } from './command-name.ts'
import { type About, headersOf, SOURCE, storedEvent } from './facts.ts'
import type { Held, Ledger } from './ledger.store.ts'
import { outcomeOf } from './outcome-of.ts'
import { type Pause, untilDone } from './persistence.ts'
import { readCommand, replySubject } from './read-command.ts'
import { refusals } from './refusals.ts'
import { type Backoff, retryDelayMs } from './retry-delay.ts'
import {
  attemptsInRound,
  attemptsOf,
  decide,
  evolve,
  factsOf,
  initial,
  isDone,
  type NextStep,
  nextStep,
  type Policy,
  type SendDecision,
  type SendEvent,
  type SendState,
} from './send-command.ts'

export interface WorkDeps {
  tenants: Pick<TenantDirectory, 'get'>
  channel: Channel
  ledger: Ledger
  lookup: SenderLookup
  templates: Pick<Templates, 'find' | 'review'>
  pacing: Pick<Pacing, 'take' | 'pauseOf'>
  publisher: Pick<Publisher, 'publish'>
  /** Core publish: an answer nobody waits for any more is lost, the ledger has it. */
  reply: (subject: string, data: string) => void
  /** `attemptTimeoutMs`: more than twice what a call to the channel may take. */
  policy: Pick<Policy, 'maxAttempts' | 'attemptTimeoutMs' | 'uncertainGraceMs'>
  backoff: Backoff
  log: Logger
  count: (outcome: string) => void
  observeCall: (result: SendResult['kind'], seconds: number) => void
  now: () => number
  random: () => number
  pause: Pause
  /** Aborts when the service stops: whoever only waits hands its command back. */
  stopping: AbortSignal
}

type End = Extract<NextStep, { step: 'end' }>['as']

/** A channel that asks for more is asked again then all the same: the command is in memory meanwhile. */
const LONGEST_RETRY_AFTER_MS = 900_000

/** What one delivery knows of its command. */
interface Job {
  command: SendCommand
  fingerprint: string
  companyId: string
  phoneNumberId: string | undefined
  /** Why it cannot be sent, known before it is worked on. */
  refusal: SendError | undefined
  /** Aborts when whoever only waits is to hand its command back. */
  leaving: AbortSignal
  /** Sequence of this copy of the command. */
  sequence: number
  /** A status has settled it after everybody had given it up: told again as if by its own copy. */
  isSettled: boolean
  /** It comes out of the dead letters, to be attempted anew. */
  redrive: Redrive | undefined
  traceparent: string
  /** To a caller who wants to know at once. */
  tellPaused: (error: SendError) => void
}

interface Ended {
  held: Held
  end: End | 'reused'
  message: PreparedMessage | undefined
  /** It had ended before this delivery, and whoever ended it has done what follows from that. */
  isRepeat: boolean
}

/**
 * Works one delivery of a command to its end: accepted, failed, or parked because nobody knows. Safe to redeliver at any
 * point: what was done stands in the ledger, and what the ledger proves is told to the log again. What only waits is
 * handed back when `leaving` aborts; without it, when the service stops.
 */
export const workCommandHandler = (
  deps: WorkDeps,
): ((delivery: Delivery, leaving?: AbortSignal) => Promise<Outcome>) => {
  const { tenants, channel, ledger, lookup, pacing, publisher, log, now, pause, stopping } = deps
  const underWay = new Map<string, Promise<unknown>>()
  const iso = () => new Date(now()).toISOString()

  const persist = <T>(what: string, command_id: string, task: () => Promise<T>, signal?: AbortSignal): Promise<T> =>
    untilDone(task, {
      pause,
      ...(signal === undefined ? {} : { signal }),
      onFailure: (err, tries) => log.warn({ event: 'store.retried', what, command_id, tries, err }),
    })

  const publish = (event: StoredEvent, commandId: string, traceparent: string): Promise<void> => {
    const publication = eventPublication(event, headersOf(commandId, traceparent))
    return persist(event.type, commandId, () => publisher.publish(publication))
  }

  /** Deliveries of one command follow each other: the second finds in the ledger what the first did. */
  const oneAtATime = async <T>(key: string, task: () => Promise<T>): Promise<T> => {
    const before = underWay.get(key) ?? Promise.resolve()
    const mine = before.then(task, task)
    underWay.set(key, mine)
    try {
      return await mine
    } finally {
      if (underWay.get(key) === mine) underWay.delete(key)
    }
  }

  const work = async (job: Job): Promise<Ended> => {
    const { command, companyId, phoneNumberId, fingerprint, traceparent, leaving } = job
    const tenant = tenants.get(companyId)
    const policy: Policy = {
      ...deps.policy,
      onUncertain: tenant?.onUncertain ?? 'park',
      expiresAt: command.expires_at,
      // No status would tell of it, and no harm is done by a repeat.
      ...(channel.isHarmlessTwice(command.message) ? { onUncertain: 'resend' as const, uncertainGraceMs: 0 } : {}),
    }
    const about = aboutOf(job, tenant)

    /** `signal`: where nothing would be lost by giving up. */
    const load = async (signal?: AbortSignal): Promise<Held> =>
      (await persist('ledger', command.id, () => ledger.find(companyId, command.id), signal)) ?? {
        entry: {
          command_id: command.id,
          company_id: companyId,
          ...(phoneNumberId === undefined ? {} : { phone_number_id: phoneNumberId }),
          fingerprint,
          state: initial,
          written_by: '',
        },
        revision: undefined,
      }

    let told: SendState | undefined
    const tell = async (events: readonly SendEvent[]) => {
      await Promise.all(events.map((event) => publish(storedEvent(event, about, iso()), command.id, traceparent)))
    }

    /**
     * Writes what was decided into the ledger and the log. Neither waits for the other: a successor that finds the one
     * without the other tells the log again (`factsOf`), or finds an attempt of unknown outcome.
     *
     * @throws KvConflict when somebody else changed the entry meanwhile
     */
    const commit = async (held: Held, events: readonly SendEvent[]): Promise<Held> => {
      const state = events.reduce(evolve, held.entry.state)
      const written_by = randomUUID()
      const write = () => {
        // An intent counts from when it was written, however long that took.
        const fresh = state.status === 'attempting' ? { ...state, at: iso() } : state
        return ledger.write({ ...held.entry, state: fresh, worked_as: job.sequence, written_by }, held.revision)
      }
      const [written] = await Promise.all([persist('ledger', command.id, write), tell(events)])
      told = written.entry.state
      return written
    }

    /** What the channel did cannot be undone: when somebody else was first, it is decided again on what is there now. */
    const record = async (held: Held, decision: SendDecision): Promise<Held> => {
      for (let current = held; ; ) {
        const events = decide(decision, current.entry.state)
        if (events.length === 0) return current
        try {
          return await commit(current, events)
        } catch (error) {
          if (!(error instanceof KvConflict)) throw error
          current = await load()
        }
      }
    }

    /** Undefined when somebody else was first. */
    const claim = async (held: Held): Promise<Held | undefined> => {
      try {
        const events = decide({ type: 'Attempt', at: iso(), policy }, held.entry.state)
        if (events.length === 0) return held // it expired in the last moment
        let claimed = await commit(held, events)
        // Its confirmation was long on its way: others would take it for abandoned in the middle of the call.
        while (
          claimed.entry.state.status === 'attempting' &&
          ageOf(claimed.entry.state.at) > policy.attemptTimeoutMs / 2
        )
          claimed = await commit(claimed, [])
        return claimed
      } catch (error) {
        if (error instanceof KvConflict) return undefined
        throw error
      }
    }
    const ageOf = (at: string) => now() - Date.parse(at)

    const prepare = async () => {
      if (job.refusal !== undefined) return { ok: false as const, error: job.refusal }
      const prepared = await prepareMessage(deps, job)
      if (prepared.ok) {
        about.message = prepared.message
        about.chatId = chatIdOf(prepared.recipient)
      }
      return prepared
    }

    let held = await load(leaving)
    const { state: found } = held.entry
    if (held.entry.fingerprint !== fingerprint) return { held, end: 'reused', message: undefined, isRepeat: false }
    const isOwn = job.isSettled || held.entry.worked_as === job.sequence
    if (found.status !== 'none') {
      // A repeat of what has ended was told at its time.
      if (isOwn || nextStep(found, now(), policy).step !== 'end') {
        await prepare()
        await tell(factsOf(found))
      }
      told = found
    }
    const redrive = job.redrive && { ...job.redrive, letter: job.redrive.dead_letter }
    if (redrive !== undefined) held = await record(held, { type: 'Redrive', at: iso(), ...redrive })

    for (;;) {
      const { state } = held.entry
      const next = nextStep(state, now(), policy)
      if (next.step === 'end') {
        // Somebody else settled it, such as a status that was faster than the channel's answer: it is ours to tell.
        if (state !== told) await tell(factsOf(state))
        // A redrive that was refused goes back to the dead letters it came from.
        const isRefused = redrive !== undefined && state.status === 'parked' && !isDone(redrive, state)
        const isRepeat = !isOwn && state === found && !isRefused
        return { held, end: next.as, message: about.message, isRepeat }
      }
      if (next.step === 'wait') {
        await pause(Math.max(1, next.until - now()), leaving)
        held = await load(leaving) // a status, or whoever has it in hand as well, may have changed it
        continue
      }
      if (next.step === 'park') {
        held = await record(held, { type: 'Park', at: iso(), policy })
        continue
      }
      if (state.status === 'attempting') {
        held = await record(held, { type: 'Attempt', at: iso(), policy })
        continue
      }
      const prepared = await prepare()
      if (!prepared.ok) {
        held = await record(held, { type: 'Reject', at: iso(), error: prepared.error })
        if (held.entry.state.status === 'uncertain') held = await record(held, { type: 'Park', at: iso(), policy })
        continue
      }
      const { phoneNumberId, recipient, message } = prepared
      const paused = pacing.pauseOf(phoneNumberId)
      if (paused !== undefined) job.tellPaused(paused)
      const turn = await pacing.take(
        {
          companyId,
          phoneNumberId,
          chatId: chatIdOf(recipient),
          priority: command.priority,
          messagesPerSecond: messagesPerSecondOf(tenants.get(companyId), phoneNumberId),
          expiresInMs: command.expires_at === undefined ? undefined : Date.parse(command.expires_at) - now(),
        },
        leaving,
      )
      try {
        if (turn.isExpired) {
          held = await record(held, expiry(held.entry.state))
          continue
        }
        // It may have waited for hours: with the credentials of now, and not at all without any.
        const token = tenants.get(companyId)?.accessToken
        if (token === undefined) continue
        const claimed = await claim(held)
        if (claimed === undefined) {
          held = await load(leaving)
          continue
        }
        held = claimed
        if (held.entry.state.status !== 'attempting') continue
        const startedAt = now()
        const result = await channel.send({ phoneNumberId, token }, message.body)
        deps.observeCall(result.kind, (now() - startedAt) / 1_000)
        const attempt = attemptsOf(held.entry.state)
        const verdict = turn.report(
          callReport(result, {
            token,
            isCurrentToken: token === tenants.get(companyId)?.accessToken,
            cause: `${command.id}:${attempt}`,
          }),
        )
        // The next call need not wait until this one is written down.
        turn.release()
        held = await record(held, decisionOf(await reviewed(result, prepared), attempt, verdict))
      } finally {
        turn.release()
      }
    }

    /** Refused for a template that is not as it was known: once more, with what is known of it now. */
    async function reviewed(result: SendResult, { template }: { template: Template | undefined }): Promise<SendResult> {
      if (result.kind !== 'refused' || result.doubtsTemplate !== true || template === undefined) return result
      const current = tenants.get(companyId)
      if (current === undefined || !(await deps.templates.review(current, template.name, template.known))) return result
      return { ...result, retry: 'once' }
    }

    /** The clock that ran out was another one than that of decisions: its time has come, whatever they say. */
    function expiry(state: SendState): SendDecision {
      const at = new Date(Math.max(now(), Date.parse(command.expires_at ?? ''))).toISOString()
      // What may have been sent already has not failed by expiring.
      return state.status === 'uncertain' ? { type: 'Park', at, policy } : { type: 'Attempt', at, policy }
    }

    function decisionOf(result: SendResult, attempt: number, { waitMs, isOwnFault }: TurnVerdict): SendDecision {
      const at = iso()
      switch (result.kind) {
        case 'accepted':
          return { type: 'RecordAccepted', at, receipt: result.receipt }
        case 'unknown':
          return { type: 'RecordUnknown', at, attempt, error: result.error }
        case 'refused':
        case 'unreachable': {
          const isRefusal = result.kind === 'refused'
          const isUncounted = !isRefusal || result.concerns === 'account' || !isOwnFault
          const retry = isUncounted ? 'uncounted' : result.retry
          const asked = isRefusal ? Math.min(result.retryAfterMs ?? 0, LONGEST_RETRY_AFTER_MS) : 0
          // Whoever waits for its number waits in line; its own delay keeps those refused together apart.
          const ownMs = retryDelayMs(Math.max(1, attemptsInRound(held.entry.state)), deps.backoff, deps.random())
          const isAtOnce = retry === 'once' || (isRefusal && result.concerns === 'account')
          const delayMs = isAtOnce ? 0 : Math.max(asked, waitMs, ownMs)
          return { type: 'RecordRefused', at, attempt, error: result.error, retry, delayMs, policy }
        }
      }
    }
  }

  return async (delivery, leaving = stopping) => {
    const startedAt = now()
    const traceparent = traceparentFrom(delivery.header(TRACEPARENT_HEADER))
    const replyTo = replySubject(delivery.header(REPLY_TO_HEADER))
    const answer = (outcome: SendOutcome | { status: 'failed'; error: SendError }) => {
      if (replyTo !== undefined) deps.reply(replyTo, JSON.stringify(outcome))
    }
    const conclude = (outcome: string, line: Record<string, unknown>) => {
      deps.count(outcome)
      log.info({ event: 'send.concluded', ...line, outcome, duration_ms: Math.round(now() - startedAt) })
    }
    /** Nothing to work on: it goes to the dead letters, and whoever asked is told. */
    const refuse = (error: SendError, about: { commandId?: string | undefined; companyId?: string | undefined }) => {
      const { commandId: command_id, companyId: company_id } = about
      answer({ status: 'failed', ...(command_id === undefined ? {} : { command_id }), error })
      conclude('refused', { company_id, command_id, code: error.code })
      return deadLetter(error, 0, company_id)
    }

    const read = readCommand(delivery.subject, delivery.data)
    if (!read.ok) {
      const error = refusals.invalidCommand(read.fields)
      const company = read.companyId === undefined ? undefined : tenants.get(read.companyId)
      if (company !== undefined) {
        const commandId = read.commandId ?? deterministicId('invalid command', String(delivery.sequence))
        await publish(invalidCommandEvent(company.companyId, commandId, error, delivery, iso()), commandId, traceparent)
      }
      return refuse(error, read)
    }

    const { command } = read
    const found = await lookup(command).catch((err: unknown) => {
      if (leaving.aborted || delivery.deliveryCount < MAX_DELIVERIES) throw err
      log.error({ event: 'send.sender_unknown', command_id: command.id, err })
      return { kind: 'refused' as const, error: refusals.conversationsAway, tenant: undefined }
    })
    const companyId = found.tenant?.companyId
    if (companyId === undefined)
      return refuse(found.kind === 'refused' ? found.error : refusals.unknownCompany, { commandId: command.id })

    const job: Job = {
      command,
      fingerprint: fingerprintOf(command),
      companyId,
      phoneNumberId: found.kind === 'found' ? found.phoneNumberId : undefined,
      refusal: found.kind === 'refused' ? found.error : undefined,
      leaving,
      sequence: delivery.sequence,
      isSettled: delivery.header(SETTLED_HEADER) !== undefined,
      redrive: parseRedrive(delivery.header(REDRIVE_HEADER)),
      traceparent,
      tellPaused: (error) => {
        if (delivery.header(ANSWER_IF_PAUSED_HEADER) !== undefined)
          answer({ status: 'queued', command_id: command.id, error })
      },
    }
    let ended: Ended
    try {
      ended = await oneAtATime(ledgerKey(companyId, command.id), () => work(job))
    } catch (error) {
      if (leaving.aborted) return later(0, 'handed back')
      throw error
    }
    if (ended.end === 'reused') return refuse(refusals.idempotencyKeyReused, { commandId: command.id, companyId })

    const { state } = ended.held.entry
    answer(outcomeOf(command.id, state))
    conclude(ended.end, {
      company_id: companyId,
      phone_number_id: job.phoneNumberId,
      command_id: command.id,
      message_id: state.status === 'accepted' ? state.receipt.messageId : undefined,
      template: command.message.type === 'template' ? command.message.template_name : undefined,
      cover: ended.message?.summary.template?.cover?.split('?')[0],
      attempts: attemptsOf(state),
      code: state.status === 'failed' || state.status === 'parked' ? state.error.code : undefined,
    })
    if (ended.isRepeat) return ack
    if (ended.end === 'parked') return deadLetter(refusals.uncertain, attemptsOf(state), companyId)
    if (state.status === 'failed') return deadLetter(state.error, state.attempts, companyId)
    return ack
  }
}

const deadLetter = (error: SendError, attempts: number, companyId: string | undefined): Outcome => ({
  kind: 'dead',
  code: String(error.code),
  reason: error.details === undefined ? error.title : `${error.title}: ${error.details}`,
  ...(companyId === undefined ? {} : { companyId }),
  headers: { Attempts: String(attempts) },
})

const aboutOf = (job: Job, tenant: Tenant | undefined): About => ({
  companyId: job.companyId,
  command: job.command,
  phoneNumberId: job.phoneNumberId,
  displayPhoneNumber: tenant?.phoneNumbers.find(({ id }) => id === job.phoneNumberId)?.displayPhoneNumber,
  responsibleEmail: tenant?.responsibleEmail,
  chatUrl: tenant?.chatUrl,
})

const invalidCommandEvent = (
  companyId: string,
  commandId: string,
  error: SendError,
  delivery: Delivery,
  recordedTime: string,
): StoredEvent =>
  newEvent({
    // With its place in the stream: another command of the same id may be a valid one, with a failure of its own.
    id: eventId(companyId, 'send.failed', commandId, 'invalid', String(delivery.sequence)),
    source: SOURCE,
    type: 'send.failed',
    subject: commandId,
    time: delivery.storedAt.toISOString(),
    companyId,
    channel: 'whatsapp',
    recordedTime,
    data: { command_id: commandId, attempts: 0, error },
  }) as StoredEvent

type Prepared =
  | {
      ok: true
      phoneNumberId: string
      recipient: Recipient
      message: PreparedMessage
      template: Template | undefined
    }
  | { ok: false; error: SendError }

/** The template a message is made of, and what was known of it then. */
interface Template {
  name: TemplateName
  known: TemplateKnowledge
}

/** The company as it is configured now, and the message as the channel wants it. */
const prepareMessage = async (deps: WorkDeps, { command, companyId, phoneNumberId }: Job): Promise<Prepared> => {
  const tenant = deps.tenants.get(companyId)
  if (tenant === undefined) return { ok: false, error: refusals.unknownCompany }
  const recipient = parseRecipient(command.to, tenant.defaultCountry)
  if (recipient === undefined) return { ok: false, error: refusals.invalidPhone }
  if (phoneNumberId === undefined) return { ok: false, error: refusals.noPhoneNumber }
  if (tenant.accessToken === undefined) return { ok: false, error: refusals.noAccessToken }

  const { message } = command
  const name = deps.channel.templateOf(message)
  const template = name && { name, known: await deps.templates.find(tenant, name) }
  if (message.type === 'template' && tenant.cover === undefined)
    deps.log.warn({ event: 'template.no_cover', company_id: companyId, template: message.template_name })
  const prepared = deps.channel.prepare({
    message,
    recipient,
    callbackId: command.id,
    cover: tenant.cover,
    template: template?.known ?? { kind: 'unknown' },
  })
  if (!prepared.ok) return prepared
  return {
    ok: true,
    phoneNumberId,
    recipient,
    message: prepared.message,
    template,
  }
}
