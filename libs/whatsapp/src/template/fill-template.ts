import { GatewayError, type TemplateValue } from '@cloudapi2/contracts'
import { fillButtons } from './fill-buttons.ts'
import { type Filling, fillHeader, fillOffer, type Given, startFilling, textParameter } from './fill-parameter.ts'
import { TemplateDataMismatch } from './template-data-mismatch.ts'
import type { TemplateCard, TemplateDefinition } from './template-definition.ts'
import { BODY_MAX, HEADER_MAX, LONE_BODY_MAX } from './template-limits.ts'
import { below, isNested, isPart, type Part, type TemplateData, type Tree, treeOf } from './template-tree.ts'

/** The part of a definition that says what is to be filled in. */
export type TemplateLayout = Pick<TemplateDefinition, 'parameterFormat' | 'bodyParameters'> &
  Partial<Pick<TemplateDefinition, 'headerFormat' | 'headerParameters' | 'buttons' | 'cards' | 'offer'>>

/** One item of `template.components` of Meta's request. */
export type TemplateComponent = Record<string, unknown>

const INTEGER = /^\d+$/
/** A position that is written in one way only. */
const POSITION = /^(0|[1-9]\d?)$/
const MAX_CARDS = 10

/** What a template and a card of its carousel have in common. */
type Section = Omit<TemplateCard, 'buttons'> & Pick<TemplateLayout, 'headerParameters' | 'buttons'>

interface Texts {
  /** In the order of the template's parameters; undefined where nothing is given. */
  header: (Given | undefined)[]
  body: (Given | undefined)[]
}

const byName = (
  section: Section,
  flat: Given[],
  inBody: Given[],
  header: Given | undefined,
  filling: Filling,
): Texts => {
  const values = new Map<string, Given>()
  for (const given of [...flat, ...inBody]) {
    if (values.has(given.key)) filling.surplus.push(given.path)
    else values.set(given.key, given)
  }
  const headerNames = header === undefined ? (section.headerParameters ?? []) : []
  const wanted = new Set([...headerNames, ...section.bodyParameters])
  for (const name of wanted)
    if (!values.has(name)) filling.missing.push({ path: `${filling.at}${name}`, expected: 'a text' })
  for (const { key, path } of values.values()) if (!wanted.has(key)) filling.surplus.push(path)
  return {
    header: header === undefined ? headerNames.map((name) => values.get(name)) : [header],
    body: section.bodyParameters.map((name) => values.get(name)),
  }
}

/** Keys that are numbers are positions; when there are others among them, all count in the order they stand in. */
const inOrder = (given: Given[], count: number, at: string, filling: Filling): (Given | undefined)[] => {
  const positions = Array.from({ length: count }, (_, index) => String(index + 1))
  const isNumbered = given.every(({ key }) => INTEGER.test(key))
  const values = isNumbered ? positions.map((one) => given.find(({ key }) => key === one)) : given.slice(0, count)
  for (const [index, position] of positions.entries())
    if (values[index] === undefined) filling.missing.push({ path: `${at}${position}`, expected: 'a text' })
  const surplus = isNumbered ? given.filter(({ key }) => !positions.includes(key)) : given.slice(count)
  filling.surplus.push(...surplus.map(({ path }) => path))
  return positions.map((_, index) => values[index])
}

const byPosition = (
  section: Section,
  flat: Given[],
  inBody: Given[] | undefined,
  header: Given | undefined,
  filling: Filling,
): Texts => {
  const { at } = filling
  const inHeader = header === undefined ? (section.headerParameters?.length ?? 0) : 0
  const given = header === undefined ? [] : [header]
  const { length } = section.bodyParameters
  if (inBody === undefined) {
    const values = inOrder(flat, inHeader + length, at, filling)
    return { header: [...given, ...values.slice(0, inHeader)], body: values.slice(inHeader) }
  }
  // Said apart, the body's positions are its own; the header's text has its own key then.
  if (inHeader > 0) filling.missing.push({ path: `${at}header`, expected: 'a text' })
  filling.surplus.push(...flat.map(({ path }) => path))
  return { header: given, body: inOrder(inBody, length, `${at}body.`, filling) }
}

const isFileHeader = ({ headerFormat = 'TEXT' }: Section): boolean => headerFormat !== 'TEXT'

/** Header, body and buttons: of the template, or of a card. `wanted`: what else it asks for. */
const fillSection = (section: Section, tree: Tree, filling: Filling, wanted: readonly Part[], cover?: string) => {
  const { at } = filling
  const hasTextInHeader = (section.headerParameters?.length ?? 0) > 0
  const buttons = section.buttons ?? []
  const asked: readonly Part[] = [
    ...wanted,
    ...(isFileHeader(section) || hasTextInHeader ? (['header'] as const) : []),
    ...(buttons.some((kind) => kind !== 'none') ? (['buttons'] as const) : []),
  ]
  /** A parameter may bear the name of a part, where the template has no such part. */
  const isOfPart = (key: string, value: TemplateValue) => isPart(key) && (asked.includes(key) || isNested(value))
  const givenIn = (level: Tree, path: string): Given[] =>
    [...level].map(([key, value]) => ({ key, value, path: `${path}${key}` }))
  const part = (name: Part): Given | undefined => {
    const value = tree.get(name)
    return value === undefined || !isOfPart(name, value) ? undefined : { key: name, value, path: `${at}${name}` }
  }

  const header = part('header')
  const inBody = part('body')
  const flat = givenIn(tree, at).filter(({ key, value }) => !isOfPart(key, value))
  if (header !== undefined && !asked.includes('header')) filling.surplus.push(header.path)
  const textInHeader = hasTextInHeader && header !== undefined ? soleText(header) : undefined

  const file = isFileHeader(section) ? fillHeader(section.headerFormat as string, header, filling, cover) : undefined
  const body = inBody === undefined ? undefined : givenIn(below(inBody.value), `${inBody.path}.`)
  const texts = filling.isNamed
    ? byName(section, flat, body ?? [], textInHeader, filling)
    : byPosition(section, flat, body, textInHeader, filling)
  const named = (names: readonly string[] | undefined, index: number) =>
    filling.isNamed ? { name: names?.[index] as string } : {}
  const parameters = (values: (Given | undefined)[], names: readonly string[] | undefined, max: number) =>
    values.flatMap((given, index) =>
      given === undefined ? [] : textParameter(given, { ...named(names, index), max }, filling),
    )

  const headers = file ?? parameters(texts.header, section.headerParameters, HEADER_MAX)
  const filledButtons = fillButtons(buttons, part('buttons'), texts.body[0], filling)
  return {
    header: headers.length > 0 ? [{ type: 'header', parameters: headers }] : [],
    body: (max: number): TemplateComponent[] => {
      const filled = parameters(texts.body, section.bodyParameters, max)
      return filled.length > 0 ? [{ type: 'body', parameters: filled }] : []
    },
    buttons: filledButtons,
  }
}

/** The text of a header, given alone or under its name. */
const soleText = (header: Given): Given => {
  const inner = [...below(header.value)]
  const [only] = inner
  return only !== undefined && inner.length === 1
    ? { ...header, value: only[1], path: `${header.path}.${only[0]}` }
    : header
}

const fillCards = (cards: readonly TemplateCard[], given: Given | undefined, filling: Filling): TemplateComponent[] => {
  const level = below(given?.value)
  if (given !== undefined && !isNested(given.value))
    filling.invalid.push({ path: 'cards', message: 'expected a list of what fills each card' })
  const isOfProducts = cards.length > 0 && cards.every(({ headerFormat }) => headerFormat === 'PRODUCT')
  // A carousel of products is approved with a few cards and sent with up to ten of the same kind.
  const cardAt = (index: number) => cards[index] ?? (isOfProducts ? cards[0] : undefined)
  const isCard = (key: string) => POSITION.test(key) && Number(key) < MAX_CARDS && cardAt(Number(key)) !== undefined
  const known = [...level.keys()].filter(isCard)
  filling.surplus.push(...[...level.keys()].filter((key) => !isCard(key)).map((key) => `cards.${key}`))
  const count = Math.max(cards.length, ...known.map((key) => Number(key) + 1))
  return Array.from({ length: count }, (_, index) => index).flatMap((index) => {
    const card = cardAt(index)
    if (card === undefined) return []
    const inCard = { ...filling, at: `cards.${index}.` }
    const value = level.get(String(index))
    if (value !== undefined && !isNested(value)) {
      filling.invalid.push({ path: `cards.${index}`, message: 'expected what fills the card, by key' })
      return []
    }
    const { tree, repeated } = treeOf(Object.fromEntries(below(value)))
    filling.surplus.push(...repeated.map((key) => `${inCard.at}${key}`))
    const filled = fillSection(card, tree, inCard, [])
    refuseNested(tree, ['cards', 'offer_expires_at'], inCard)
    return [{ card_index: index, components: [...filled.header, ...filled.body(BODY_MAX), ...filled.buttons] }]
  })
}

/** Parts that the template does not have at all. */
const refuseNested = (tree: Tree, parts: readonly Part[], filling: Filling): void => {
  for (const part of parts) if (isNested(tree.get(part))) filling.surplus.push(`${filling.at}${part}`)
}

/**
 * Puts data into a template: the components of Meta's request.
 *
 * Plain keys fill the text: by name, or in order. Positions count through a text header first, then the body: with `{{1}}`
 * in both, `1` is the header's and `2` the body's; unless the header's is given as `header`, or the body's as `body.1`. Data
 * of a positional template may also have words for keys; their order counts then. Everything else has a key of its own:
 * `header`, `buttons.0`, `cards.0.header`, `offer_expires_at`. The code of an authentication template goes into its text
 * and its button.
 *
 * @param cover link of an image for a header of that kind that the data leaves out
 * @throws TemplateDataMismatch naming what is missing, what is too much, and what cannot be
 * @see https://developers.facebook.com/docs/whatsapp/cloud-api/guides/send-message-templates
 */
export const fillTemplate = (
  layout: TemplateLayout,
  data: TemplateData,
  { cover }: { cover?: string } = {},
): TemplateComponent[] => {
  const filling = startFilling(layout.parameterFormat === 'NAMED')
  const { tree, repeated } = treeOf(data)
  filling.surplus.push(...repeated)
  const { cards = [], offer } = layout
  const wanted: Part[] = [
    ...(cards.length > 0 ? (['cards'] as const) : []),
    ...(offer === undefined ? [] : (['offer_expires_at'] as const)),
  ]
  const section = fillSection(layout, tree, filling, wanted, cover)
  const given = (part: Part): Given | undefined => {
    const value = tree.get(part)
    return value === undefined ? undefined : { key: part, value, path: part }
  }
  const offers = offer === undefined ? [] : fillOffer(offer, given('offer_expires_at'), filling)
  const filledCards = cards.length > 0 ? fillCards(cards, given('cards'), filling) : []
  refuseNested(
    tree,
    (['cards', 'offer_expires_at'] as const).filter((part) => !wanted.includes(part)),
    filling,
  )
  const others = [
    ...offers,
    ...section.buttons,
    ...(filledCards.length > 0 ? [{ type: 'carousel', cards: filledCards }] : []),
  ]
  const isAlone = section.header.length === 0 && others.length === 0
  const components = [...section.header, ...section.body(isAlone ? LONE_BODY_MAX : BODY_MAX), ...others]
  const { missing, surplus, invalid } = filling
  if (missing.length > 0 || surplus.length > 0 || invalid.length > 0)
    throw new TemplateDataMismatch({ missing, surplus, invalid })
  return components
}

/** The data has parts that only the definition tells how to write. */
export class TemplateDefinitionNeeded extends GatewayError {
  constructor(keys: readonly string[]) {
    super(`template_data has parts that only the template's definition tells how to send: ${keys.join(', ')}`, {
      code: 'TEMPLATE_DEFINITION_NEEDED',
      retryable: false,
    })
  }
}

/**
 * Puts data into a template whose definition is not known: the data is trusted. Numbers for keys are positions of the
 * body, words are its names.
 *
 * @param cover becomes the header: a template without an image in its header is refused by Meta then
 * @throws TemplateDefinitionNeeded for anything but the body
 */
export const fillUnknownTemplate = (data: TemplateData, { cover }: { cover?: string } = {}): TemplateComponent[] => {
  const parts = Object.entries(data)
    .filter(([key, value]) => isNested(value) || isPart(key.split('.')[0] as string))
    .map(([key]) => key)
  if (parts.length > 0) throw new TemplateDefinitionNeeded(parts)
  const keys = Object.keys(data)
  const isNumbered = keys.every((key) => INTEGER.test(key))
  const parameters = keys.map((key) => ({
    type: 'text',
    text: String(data[key]),
    ...(isNumbered ? {} : { parameter_name: key }),
  }))
  return [
    ...(cover === undefined ? [] : [{ type: 'header', parameters: [{ type: 'image', image: { link: cover } }] }]),
    ...(parameters.length > 0 ? [{ type: 'body', parameters }] : []),
  ]
}
