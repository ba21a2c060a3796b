import { asId, asObject, asText, type JsonObject } from '../json-values.ts'

/**
 * What a button takes when the template is sent. `otp`: the code of an authentication template. `none`: nothing, such as
 * a phone number or an address without a variable.
 */
export type ButtonKind =
  | 'url'
  | 'quick_reply'
  | 'copy_code'
  | 'otp'
  | 'flow'
  | 'catalog'
  | 'mpm'
  | 'voice_call'
  | 'none'

/** A card of a carousel: what it asks to be filled in with. */
export interface TemplateCard {
  /** `IMAGE`, `VIDEO` or `PRODUCT`; absent without a header. */
  headerFormat?: string
  bodyParameters: readonly string[]
  buttons: readonly ButtonKind[]
}

/** What a template asks to be filled in with. Plain JSON, fit to be kept. */
export interface TemplateDefinition {
  id?: string
  name: string
  /** `en_US`; Meta also writes `en-US`. */
  language: string
  /** `APPROVED`, `PAUSED`, … */
  status?: string
  category?: string
  /** NAMED: `{{first_name}}`; POSITIONAL: `{{1}}`. */
  parameterFormat: 'NAMED' | 'POSITIONAL'
  /** `TEXT`, `IMAGE`, `VIDEO`, `DOCUMENT`, `LOCATION`, `PRODUCT`, …; absent without a header. */
  headerFormat?: string
  /** Of a text header, as the template writes them: names, or `1`. */
  headerParameters: readonly string[]
  /** Names in the order of their first appearance, or `1` to `n`. */
  bodyParameters: readonly string[]
  /** In their order: the position is the button's index. */
  buttons: readonly ButtonKind[]
  /** Of a carousel, in their order. */
  cards: readonly TemplateCard[]
  /** Of a limited-time offer: whether it has an end that every message must tell. */
  offer?: { expires: boolean }
}

const PLACEHOLDER = /\{\{\s*([^{}\s]+)\s*\}\}/g
const INTEGER = /^\d+$/

const parametersIn = (text: string | undefined): string[] => {
  const names = [...new Set([...(text ?? '').matchAll(PLACEHOLDER)].map((match) => match[1] as string))]
  return names.every((name) => INTEGER.test(name)) ? names.sort((a, b) => Number(a) - Number(b)) : names
}

const objectsIn = (value: unknown): JsonObject[] =>
  (Array.isArray(value) ? value : []).map((item) => asObject(item) ?? {})
const upper = (value: unknown): string | undefined => asText(value)?.toUpperCase()
const componentOf = (components: readonly JsonObject[], type: string) =>
  components.find((one) => upper(one.type) === type)

/** What Meta's types of buttons take. Those that are not here take nothing. */
const KIND_OF_TYPE: Readonly<Record<string, ButtonKind>> = {
  QUICK_REPLY: 'quick_reply',
  COPY_CODE: 'copy_code',
  OTP: 'otp',
  FLOW: 'flow',
  CATALOG: 'catalog',
  MPM: 'mpm',
  VOICE_CALL: 'voice_call',
}

const kindOf = (button: JsonObject, isAuthentication: boolean): ButtonKind => {
  const type = upper(button.type) ?? ''
  if (type !== 'URL') return KIND_OF_TYPE[type] ?? 'none'
  if (parametersIn(asText(button.url)).length === 0) return 'none'
  // Meta lists the button of an authentication template as a link with the code in it.
  return isAuthentication ? 'otp' : 'url'
}

const readParts = (components: readonly JsonObject[], isAuthentication: boolean) => {
  const header = componentOf(components, 'HEADER')
  const headerFormat = header === undefined ? undefined : (upper(header.format) ?? 'TEXT')
  const body = componentOf(components, 'BODY')
  const text = asText(body?.text)
  return {
    ...(headerFormat === undefined ? {} : { headerFormat }),
    headerParameters: headerFormat === 'TEXT' ? parametersIn(asText(header?.text)) : [],
    // The text of an authentication template is Meta's own, and may not be told: it has the code in it.
    bodyParameters: isAuthentication && body !== undefined && text === undefined ? ['1'] : parametersIn(text),
    buttons: objectsIn(componentOf(components, 'BUTTONS')?.buttons).map((button) => kindOf(button, isAuthentication)),
  }
}

const cardOf = (card: JsonObject): TemplateCard => {
  const { headerParameters: _, ...parts } = readParts(objectsIn(card.components), false)
  return parts
}

/**
 * Reads one item of `GET /{waba-id}/message_templates`.
 *
 * @returns undefined for what has neither name nor language
 * @see https://developers.facebook.com/docs/graph-api/reference/whats-app-business-account/message_templates/
 */
export const parseTemplateDefinition = (item: unknown): TemplateDefinition | undefined => {
  const sent = asObject(item)
  const name = asId(sent?.name)
  const language = asId(sent?.language)
  if (sent === undefined || name === undefined || language === undefined) return undefined
  const components = objectsIn(sent.components)
  const category = asText(sent.category)
  const parts = readParts(components, category?.toUpperCase() === 'AUTHENTICATION')
  const cards = objectsIn(componentOf(components, 'CAROUSEL')?.cards).map(cardOf)
  const offer = componentOf(components, 'LIMITED_TIME_OFFER')

  const written = [...parts.headerParameters, ...parts.bodyParameters, ...cards.flatMap((card) => card.bodyParameters)]
  const format = upper(sent.parameter_format)
  const isPositional =
    format === 'POSITIONAL' || (format !== 'NAMED' && written.every((parameter) => INTEGER.test(parameter)))
  const id = asId(sent.id)
  const status = asText(sent.status)
  return {
    ...(id === undefined ? {} : { id }),
    name,
    language,
    ...(status === undefined ? {} : { status }),
    ...(category === undefined ? {} : { category }),
    parameterFormat: isPositional ? 'POSITIONAL' : 'NAMED',
    ...parts,
    cards,
    ...(offer === undefined
      ? {}
      : { offer: { expires: asObject(offer.limited_time_offer)?.has_expiration !== false } }),
  }
}

/** One spelling for a language: Meta writes it as `en_US` and as `en-US`. */
export const canonicalLanguage = (language: string): string => language.replaceAll('-', '_').toLowerCase()

/** Meta writes a language as `en_US` and as `en-US`. */
export const isSameLanguage = (a: string, b: string): boolean => canonicalLanguage(a) === canonicalLanguage(b)
