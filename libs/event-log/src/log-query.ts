import { isCompanyToken } from './archive-streams.ts'
import type { LogQuery } from './event-log.ts'

/** What of a stored body a query looks at. */
export interface Told {
  companyid?: unknown
  subject?: unknown
  type?: unknown
  recordedtime?: unknown
  data?: { message_id?: unknown; command_id?: unknown } | null
}

const decoder = new TextDecoder()

/** The envelope of a stored body; undefined when it is no JSON object. */
export const toldBy = (body: Uint8Array): Told | undefined => {
  try {
    const value: unknown = JSON.parse(decoder.decode(body))
    return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : undefined
  } catch {
    return undefined // not of our making: no question about its content is answered with yes
  }
}

/** When it was recorded, milliseconds since 1970; NaN when it does not say. */
export const recordedAtMs = ({ recordedtime }: Told): number =>
  typeof recordedtime === 'string' ? Date.parse(recordedtime) : Number.NaN

/** Types that name a message and the command it came of. */
export const LINKING_TYPES = ['message.created', 'status.updated'] as const

/**
 * The commands that a message came of. Events of a command speak of no message: when they are stored, it has no id yet.
 * So they are found in two steps, by what names both.
 */
export interface CommandsOfMessage {
  /** Learns from a body; any body may be given. */
  learn: (told: Told) => void
  /** True when the body is of one of the commands learned. */
  has: (told: Told) => boolean
  /** What a body that is of interest must contain, as bytes: `learn` and `has` need not see any other. */
  needles: () => readonly Buffer[]
}

export const commandsOfMessage = (messageId: string): CommandsOfMessage => {
  const known = new Set<string>()
  const needles: Buffer[] = [needleOf(messageId)]
  const key = (companyId: unknown, commandId: unknown) => JSON.stringify([companyId, commandId])
  return {
    learn: (told) => {
      const { data } = told
      if (data?.message_id !== messageId || typeof data.command_id !== 'string') return
      if (!(LINKING_TYPES as readonly unknown[]).includes(told.type)) return
      const id = key(told.companyid, data.command_id)
      if (known.has(id)) return
      known.add(id)
      needles.push(needleOf(data.command_id))
    },
    has: ({ companyid, data }) => data?.command_id !== undefined && known.has(key(companyid, data.command_id)),
    needles: () => needles,
  }
}

/** As it stands in JSON, without the quotes. */
const needleOf = (text: string): Buffer => Buffer.from(JSON.stringify(text).slice(1, -1))

/** True when the bytes contain one of the needles: much cheaper than to parse what is of somebody else. */
export const mayNameAny = (body: Uint8Array, needles: readonly Buffer[]): boolean => {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  return needles.some((needle) => bytes.includes(needle))
}

const TYPE = /^[a-z0-9_]{1,64}\.[a-z0-9_]{1,64}$/

/** The types that a query asks for, each once and none that no event can have; undefined: all. */
export const typesOf = ({ types }: LogQuery): string[] | undefined =>
  types && [...new Set(types)].filter((type) => TYPE.test(type))

/** True when nothing can be the answer, whatever is stored. */
export const isVoid = (query: LogQuery): boolean => {
  const { companyId, from, to } = query
  return (
    typesOf(query)?.length === 0 ||
    (companyId !== undefined && !isCompanyToken(companyId)) ||
    (from !== undefined && to !== undefined && from >= to)
  )
}

/** True for a query that asks about more than company, type and position. */
export const looksIntoBodies = ({ messageId, from, to }: LogQuery): boolean =>
  messageId !== undefined || from !== undefined || to !== undefined

/**
 * Tells whether a body answers the part of a query that is about its content: message and time of recording.
 *
 * @param commands of the query's message
 */
export const isAskedFor = (
  told: Told | undefined,
  query: LogQuery,
  commands: CommandsOfMessage | undefined,
): boolean => {
  if (told === undefined) return !looksIntoBodies(query)
  const { messageId, from, to } = query
  if (from !== undefined || to !== undefined) {
    const at = recordedAtMs(told)
    if (Number.isNaN(at)) return false
    if (from !== undefined && at < from.getTime()) return false
    if (to !== undefined && at >= to.getTime()) return false
  }
  if (messageId === undefined) return true
  return told.subject === messageId || told.data?.message_id === messageId || commands?.has(told) === true
}
