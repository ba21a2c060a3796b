/**
 * Whether a number's calls go out at all. Shut when the channel does not work (`down`), or works and does not accept the
 * account (`paused`). While it is shut, one call at a time goes out to see.
 */
export type Gate =
  | { state: 'open'; failures: number }
  | {
      state: 'shut'
      why: 'down' | 'paused'
      since: number
      /** Probes that found it still so. */
      probes: number
      probeAt: number
      isProbing: boolean
    }

export const openGate: Gate = { state: 'open', failures: 0 }

/** What a call says of the channel: it works; it does not; it works, and does not accept the account. */
export type Sign = 'works' | 'broken' | 'account-refused'

export interface GateOptions {
  /** So many calls in a row that found the channel broken shut the gate. */
  failuresToShut: number
  /** Until the first probe of a channel that is down; doubles each time. */
  probeMs: number
  probeCapMs: number
  /** Until the first probe of a refused account, which may have been refused by mistake or for a moment; doubles each time. */
  pauseFirstProbeMs: number
  /** At most between two probes of a refused account: it may have been mended at the channel. */
  pauseProbeMs: number
}

/** When the next call may go out; Infinity while a probe is under way. */
export const passesFrom = (gate: Gate): number =>
  gate.state === 'open' ? Number.NEGATIVE_INFINITY : gate.isProbing ? Number.POSITIVE_INFINITY : gate.probeAt

export const probing = (gate: Gate): Gate => (gate.state === 'open' ? gate : { ...gate, isProbing: true })

/** A probe that made no call: the next one may be it. */
export const probeUnused = (gate: Gate): Gate => (gate.state === 'open' ? gate : { ...gate, isProbing: false })

/**
 * @param call.isProbe whether it went out to see
 * @param call.random  from 0 to 1: a thousand numbers that found the channel down do not knock together
 */
export const afterCall = (
  gate: Gate,
  sign: Sign,
  call: { isProbe: boolean; startedAt: number; now: number; random: number },
  options: GateOptions,
): Gate => {
  const { now, isProbe, startedAt } = call
  const probes = gate.state === 'shut' && isProbe ? gate.probes + 1 : 0
  const shut = (why: 'down' | 'paused'): Gate => ({
    state: 'shut',
    why,
    since: gate.state === 'shut' && gate.why === why ? gate.since : now,
    probes,
    probeAt:
      now +
      (why === 'paused'
        ? Math.min(options.pauseProbeMs, options.pauseFirstProbeMs * 2 ** probes)
        : Math.min(options.probeCapMs, options.probeMs * 2 ** probes) * (0.5 + call.random / 2)),
    isProbing: false,
  })

  if (gate.state === 'open') {
    if (sign === 'works') return gate.failures === 0 ? gate : openGate
    if (sign === 'account-refused') return shut('paused')
    const failures = gate.failures + 1
    return failures < options.failuresToShut ? { state: 'open', failures } : shut('down')
  }
  // Answers to calls begun before it was shut come in late.
  const isLate = !isProbe && startedAt <= gate.since
  switch (sign) {
    case 'works':
      // That the channel answers is news; that it accepted the account a moment ago is not.
      return gate.why === 'paused' && isLate ? gate : openGate
    case 'account-refused':
      return isLate && gate.why === 'paused' ? gate : shut('paused')
    case 'broken':
      // Of a paused number it is still not known whether its account is accepted.
      return isProbe ? shut(gate.why) : gate
  }
}
