import type { Progress } from '@cloudapi2/read-model'

const PHASES: Readonly<Record<Progress['phase'], string>> = {
  folding: 'folding',
  held: 'catching up',
  comparing: 'comparing',
  replacing: 'replacing',
}

/** Between lines. */
const EVERY_MS = 5_000

export interface Measured {
  phase: string
  /** Events per second since the beginning. */
  rate: string
  /** Time that the rest takes at this rate. */
  left: string
}

/** `3 s`, `2 min 5 s`, `1 h 7 min`. */
export const durationText = (seconds: number): string => {
  const s = Math.max(0, Math.ceil(seconds))
  if (s < 60) return `${s} s`
  if (s < 3_600) return `${Math.floor(s / 60)} min ${s % 60} s`
  return `${Math.floor(s / 3_600)} h ${Math.floor((s % 3_600) / 60)} min`
}

/** Rate and time left, and a line of them every few seconds and whenever something else begins. */
export const createProgressLines = (now: () => number) => {
  const startedAt = now()
  let toldAt = startedAt
  let phase: Progress['phase'] = 'folding'

  const measure = (progress: Progress): Measured => {
    const rate = progress.done / Math.max(0.001, (now() - startedAt) / 1_000)
    const left = rate > 0 ? durationText((progress.total - progress.done) / rate) : '?'
    return { phase: PHASES[progress.phase], rate: String(Math.round(rate)), left }
  }
  return {
    measure,
    /** @returns undefined when it is too early for another line */
    next: (progress: Progress): string | undefined => {
      const isNew = progress.phase !== phase
      if (!isNew && now() - toldAt < EVERY_MS) return undefined
      toldAt = now()
      phase = progress.phase
      const { rate, left } = measure(progress)
      const what = PHASES[phase]
      return phase === 'folding'
        ? `${what}: ${progress.done} of ${progress.total} events, ${rate}/s, ${left} left`
        : `${what}, at position ${progress.total}`
    },
  }
}
