import { decideAppend, decideDelete, type WriteDecision, type WriteMoment } from './decide-write.ts'
import type { EventStore } from './event-store.ts'
import type { Journal } from './journal.store.ts'
import type { ExpectedRevision, ProposedEvent } from './recorded-event.ts'

export type WriteAnswer =
  /** -1 and no position: nothing was written, and the stream is empty. */
  { outcome: 'written'; revision: number; position?: number } | Exclude<WriteDecision, { outcome: 'write' | 'repeat' }>

/** Decides, keeps and stores a write, one after the other; when it answers, the write is in the journal. */
export const createWriter = (deps: {
  store: EventStore
  journal: Journal
  now: () => number
  newId: () => string
  onWritten: () => void
}) => {
  const moment = (): WriteMoment => ({ now: deps.now(), newId: deps.newId })
  const carryOut = (stream: string, decision: WriteDecision): WriteAnswer => {
    if (decision.outcome === 'repeat')
      return { outcome: 'written', revision: decision.last.revision, position: decision.last.position }
    if (decision.outcome !== 'write') return decision
    const commits = decision.commits.filter(({ events }) => events.length > 0)
    if (commits.length === 0) return { outcome: 'written', revision: deps.store.lastRevisionOf(stream) }
    deps.journal.write(commits)
    const answers = commits.map((commit) => {
      deps.store.apply(commit, { isReplay: false })
      return { revision: deps.store.lastRevisionOf(commit.stream), position: deps.store.all.at(-1)?.position ?? 0 }
    })
    deps.onWritten()
    // The first commit is the one asked for; another only revives the stream.
    return { outcome: 'written', ...(answers[0] ?? { revision: -1 }) }
  }
  return {
    append: (request: { stream: string; expected: ExpectedRevision; events: ProposedEvent[] }): WriteAnswer =>
      carryOut(request.stream, decideAppend(deps.store, request, moment())),
    delete: (request: { stream: string; expected: ExpectedRevision; isFinal: boolean }): WriteAnswer =>
      carryOut(request.stream, decideDelete(deps.store, request, moment())),
  }
}
export type Writer = ReturnType<typeof createWriter>
