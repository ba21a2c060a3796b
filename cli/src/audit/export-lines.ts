import type { KeyObject } from 'node:crypto'
import { type ChainState, createExportWriter, EXPORT_FORMAT, EXPORT_VERSION, extendChain } from '@cloudapi2/audit'
import { GatewayError } from '@cloudapi2/contracts'
import type { EventLog } from '@cloudapi2/event-log'
import { type ExportPlan, type ExportRange, interrupted } from './export-plan.ts'

/** What was written. */
export interface Exported {
  events: number
  first: number
  chain: ChainState
  /** The first position where the log recorded another head than its events have now; absent: all agree. */
  contradicted?: number
}

export interface ExportJob {
  log: EventLog
  range: ExportRange
  plan: ExportPlan
  privateKey: KeyObject
  software: string
  now: () => number
  signal: AbortSignal
}

/**
 * The lines of an export, with their line feeds; returns what they were.
 *
 * @throws GatewayError AUDIT_INTERRUPTED when the signal aborts: nothing that looks whole may be left then
 */
export async function* exportLines({
  log,
  range,
  plan,
  privateKey,
  software,
  now,
  signal,
}: ExportJob): AsyncGenerator<string, Exported> {
  const { companyId, from, to } = range
  const recorded = recordedHeads(plan)
  let chain = plan.from
  const upTo = plan.last === undefined ? {} : { upTo: plan.last }
  const entries = log.read({ companyId, after: chain.position, ...upTo }, { signal })
  let writer: ReturnType<typeof createExportWriter> | undefined
  for await (const entry of entries) {
    if (entry.position < plan.first) {
      chain = extendChain(chain, entry)
      recorded.reach(chain)
      continue
    }
    if (writer === undefined) {
      const header = {
        format: EXPORT_FORMAT,
        version: EXPORT_VERSION,
        chain: 1,
        company_id: companyId,
        range: {
          ...(from === undefined ? {} : { from: from.toISOString() }),
          ...(to === undefined ? {} : { to: to.toISOString() }),
        },
        source: log.kind,
        before: chain,
        start: plan.start,
        software,
      } as const
      writer = createExportWriter(header, privateKey)
      yield `${writer.header}\n`
    }
    yield `${writer.line(entry)}\n`
    chain = writer.chain()
    recorded.reach(chain)
  }
  // A reading that is aborted ends as if there were no more.
  if (signal.aborted) throw interrupted()
  if (writer === undefined || (plan.last !== undefined && chain.position !== plan.last))
    throw new GatewayError('the log lost events while it was read: export it again', {
      code: 'AUDIT_LOG_CHANGED',
      retryable: true,
    })
  yield `${writer.end(new Date(now()).toISOString())}\n`
  const contradicted = recorded.contradicted(chain.position)
  return { events: writer.events(), first: plan.first, chain, ...(contradicted === undefined ? {} : { contradicted }) }
}

/** Holds the chain against what the log recorded of it. */
const recordedHeads = ({ anchors, from }: ExportPlan) => {
  const open = new Map<number, ChainState[]>()
  for (const anchor of anchors)
    if (anchor.position > from.position) open.set(anchor.position, [...(open.get(anchor.position) ?? []), anchor])
  let contradicted: number | undefined
  return {
    reach: ({ position, events, head }: ChainState) => {
      for (const anchor of open.get(position) ?? [])
        if (anchor.head !== head || anchor.events !== events) contradicted ??= position
      open.delete(position)
    },
    contradicted: (last: number) => {
      const missing = [...open.keys()].filter((position) => position <= last)
      const all = contradicted === undefined ? missing : [contradicted, ...missing]
      return all.length === 0 ? undefined : Math.min(...all)
    },
  }
}
