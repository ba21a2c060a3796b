import { MEDIA_KINDS } from '@cloudapi2/contracts'
import { isReadReceipt } from '@cloudapi2/whatsapp'
import type { MessageSummary } from './channel.ts'

type Json = Record<string, unknown>
const object = (value: unknown): Json | undefined =>
  value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Json) : undefined
const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined)
const id = (value: unknown): string | undefined => (typeof value === 'number' ? String(value) : text(value))
const isMedia = (kind: string): boolean => (MEDIA_KINDS as readonly string[]).includes(kind)

/** What a body of Meta's send call says, in our words. Reads any JSON; what it does not understand it leaves out. */
export const summaryOfBody = (body: Json): MessageSummary => {
  if (isReadReceipt(body)) return { kind: 'receipt' }
  // Meta takes the types in capitals as well; the log has one name for each.
  const kind = (text(body.type) ?? 'text').toLowerCase()
  const content = object(body[kind]) ?? {}
  const written = textOf(kind, content)
  const media = { id: id(content.id), link: text(content.link), filename: text(content.filename) }
  const contextId = text(object(body.context)?.message_id)
  const reactionTo = kind === 'reaction' ? text(content.message_id) : undefined
  const emoji = text(content.emoji)
  const template = kind === 'template' ? templateOf(content) : undefined
  return {
    kind,
    ...(written === undefined ? {} : { text: written }),
    ...(isMedia(kind) ? { media: defined(media) } : {}),
    ...(template === undefined ? {} : { template }),
    ...(contextId === undefined ? {} : { context: { message_id: contextId } }),
    ...(reactionTo === undefined
      ? {}
      : { reaction: { message_id: reactionTo, ...(emoji === undefined ? {} : { emoji }) } }),
  }
}

const textOf = (kind: string, content: Json): string | undefined => {
  if (kind === 'text') return text(content.body)
  if (kind === 'interactive') return text(object(content.body)?.text)
  return text(content.caption)
}

const templateOf = (content: Json): MessageSummary['template'] => {
  const name = text(content.name)
  if (name === undefined) return undefined
  const language = text(object(content.language)?.code)
  const cover = coverOf(content)
  return { name, ...(language === undefined ? {} : { language }), ...(cover === undefined ? {} : { cover }) }
}

/** The image in the header, whoever put it there. */
const coverOf = ({ components }: Json): string | undefined => {
  if (!Array.isArray(components)) return undefined
  const header = components.map(object).find((component) => component?.type === 'header')
  const parameters = Array.isArray(header?.parameters) ? header.parameters.map(object) : []
  return text(object(parameters.find((parameter) => parameter?.type === 'image')?.image)?.link)
}

const defined = <T extends object>(fields: T) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }
