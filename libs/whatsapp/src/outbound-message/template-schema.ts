import { z } from 'zod'
import { BODY_MAX, COUPON_CODE_MAX, HEADER_MAX, LONE_BODY_MAX } from '../template/template-limits.ts'
import { file, location } from './content-schemas.ts'
import {
  addRepeated,
  byKind,
  charactersOf,
  expected,
  id,
  isObject,
  listOf,
  number,
  numberWithin,
  object,
  optional,
  text,
} from './field-schemas.ts'
import { productSections } from './interactive-schema.ts'

/**
 * The shape of a template message. Whether it fits the template's definition is another question.
 *
 * @see https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages ("Template object")
 */

const NAME_MAX = 512

const parameterName = { parameter_name: optional(text()) }
const textParameter = (max?: number) => object({ text: text(max === undefined ? {} : { max }), ...parameterName })
const fallback = object({ fallback_value: text() })
const action = object({
  flow_token: optional(text()),
  flow_action_data: optional(object({})),
  thumbnail_product_retailer_id: optional(id),
  sections: optional(productSections),
})

const PARAMETERS = {
  currency: object({
    currency: object({ fallback_value: text(), code: text(), amount_1000: number }),
    ...parameterName,
  }),
  date_time: object({ date_time: fallback, ...parameterName }),
  image: object({ image: file }),
  video: object({ video: file }),
  document: object({ document: file }),
  location: object({ location }),
  product: object({ product: object({ product_retailer_id: id, catalog_id: id }) }),
  group_id: object({ group_id: id }),
  payload: object({ payload: text() }),
  text: textParameter(),
  coupon_code: object({ coupon_code: text({ max: COUPON_CODE_MAX }) }),
  action: object({ action }),
  ttl_minutes: object({ ttl_minutes: number }),
  limited_time_offer: object({ limited_time_offer: object({ expiration_time_ms: number }) }),
}
type Kind = keyof typeof PARAMETERS

const parameters = (kinds: Kind[], { textMax, max }: { textMax?: number; max?: number } = {}) => {
  const known: Record<string, z.ZodType> = Object.fromEntries(kinds.map((kind) => [kind, PARAMETERS[kind]]))
  if (textMax !== undefined) known.text = textParameter(textMax)
  const item = byKind(known)
  return optional(
    max === undefined
      ? z.array(item, expected('a list of parameters'))
      : listOf(item, { min: 0, max, what: 'parameters' }),
  )
}

const header = object({
  parameters: parameters(['text', 'image', 'video', 'document', 'location', 'product'], {
    textMax: HEADER_MAX,
    max: 1,
  }),
})
const body = object({
  parameters: parameters(['text', 'currency', 'date_time', 'group_id'], { textMax: LONE_BODY_MAX }),
})

const buttonOf = (...kinds: Kind[]) => object({ parameters: parameters(kinds) })
const button = byKind(
  {
    quick_reply: buttonOf('payload', 'text'),
    url: buttonOf('text', 'payload'),
    copy_code: buttonOf('coupon_code', 'text'),
    flow: buttonOf('action'),
    catalog: buttonOf('action'),
    mpm: buttonOf('action'),
    voice_call: buttonOf('ttl_minutes', 'payload'),
  },
  { key: 'sub_type', always: object({ index: numberWithin(0, 9) }) },
)

const isKind = (component: unknown, kind: string): boolean =>
  isObject(component) && String(component.type).toLowerCase() === kind

/** Each component once, each button at a place of its own. */
const addRepeatedComponents = (components: readonly unknown[], context: z.RefinementCtx): void =>
  addRepeated(context, components, {
    nameOf: (component) => {
      if (!isObject(component)) return undefined
      const { type, index } = component
      return isKind(component, 'button') ? `button ${String(index)}` : String(type).toLowerCase()
    },
    path: (at) => [at, isKind(components[at], 'button') ? 'index' : 'type'],
  })

const cardComponents = z
  .array(byKind({ header, body, button }), expected('a list of components'))
  .superRefine(addRepeatedComponents)

const carousel = object({
  cards: listOf(object({ card_index: numberWithin(0, 9), components: cardComponents }), {
    min: 1,
    max: 10,
    what: 'cards',
  }).superRefine((cards, context) =>
    addRepeated(context, cards, {
      nameOf: ({ card_index }) => Number(card_index),
      path: (index) => [index, 'card_index'],
    }),
  ),
})

/** A body beside other components has less room than one alone. */
const addLongTexts = (context: z.RefinementCtx, component: unknown, at: number): void => {
  if (!isObject(component) || !isKind(component, 'body') || !Array.isArray(component.parameters)) return
  component.parameters.forEach((parameter: unknown, index) => {
    const written = isObject(parameter) && typeof parameter.text === 'string' ? parameter.text : ''
    const found = charactersOf(written)
    if (found > BODY_MAX && found <= LONE_BODY_MAX)
      context.addIssue({
        code: 'custom',
        path: [at, 'parameters', index, 'text'],
        message: `expected at most ${BODY_MAX} characters, found ${found}`,
      })
  })
}

const components = z
  .array(
    byKind({
      header,
      body,
      button,
      carousel,
      limited_time_offer: object({ parameters: parameters(['limited_time_offer'], { max: 1 }) }),
    }),
    expected('a list of components'),
  )
  .superRefine((all, context) => {
    addRepeatedComponents(all, context)
    if (all.length > 1) for (const [index, component] of all.entries()) addLongTexts(context, component, index)
  })

/** The content of a message of type `template`. */
export const templateContent = object({
  name: z
    .string(expected('the name of a template'))
    .regex(new RegExp(`^[a-z0-9_]{1,${NAME_MAX}}$`), `expected 1 to ${NAME_MAX} characters of a to z, 0 to 9 and _`),
  language: object({ code: text(), policy: optional(z.string(expected('a text'))) }),
  components: optional(components),
})
