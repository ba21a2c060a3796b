import type { Progress } from '@cloudapi2/read-model'
import cliProgress from 'cli-progress'
import { createProgressLines } from './progress-lines.ts'

/** Shows how far a rebuild is. */
export interface ProgressView {
  told: (progress: Progress) => void
  stop: () => void
}

const FORMAT = '{phase} [{bar}] {percentage} %  {value} of {total} events  {rate}/s  {left} left'

/**
 * A bar on a terminal; elsewhere, where a bar would be hundreds of lines, a line now and then.
 *
 * @param stream where it is drawn: standard error
 */
export const createProgress = (
  stream: NodeJS.WriteStream,
  { note, now }: { note: (text: string) => void; now: () => number },
): ProgressView => {
  const lines = createProgressLines(now)
  if (stream.isTTY !== true)
    return {
      told: (progress) => {
        const line = lines.next(progress)
        if (line !== undefined) note(line)
      },
      stop: () => {},
    }

  const bar = new cliProgress.SingleBar(
    { format: FORMAT, stream, hideCursor: true, clearOnComplete: true, etaBuffer: 50 },
    cliProgress.Presets.shades_classic,
  )
  let isDrawn = false
  return {
    told: (progress) => {
      const payload = lines.measure(progress)
      if (isDrawn) {
        bar.setTotal(progress.total)
        bar.update(progress.done, payload)
      } else bar.start(progress.total, progress.done, payload)
      isDrawn = true
    },
    stop: () => {
      if (isDrawn) bar.stop()
    },
  }
}
