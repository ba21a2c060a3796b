/** Why a command is to end: it was asked to, or nobody reads its output any more. */
export type EndReason = 'interrupted' | 'output closed'

/** Aborts, with an `EndReason`, when the command is to end in an orderly way: Ctrl-C, SIGTERM, or a closed output. */
export const endSignal = (process: NodeJS.Process): AbortSignal => {
  const ending = new AbortController()
  const end = (reason: EndReason) => () => ending.abort(reason)
  process.once('SIGINT', end('interrupted'))
  process.once('SIGTERM', end('interrupted'))
  // `cloudapi tail | head -1`
  process.stdout.once('error', end('output closed'))
  return ending.signal
}
