import { z } from 'zod'
import { file } from './content-schemas.ts'
import {
  addRepeated,
  byKind,
  constant,
  expected,
  httpUrl,
  id,
  isObject,
  listOf,
  number,
  numberWithin,
  object,
  optional,
  text,
} from './field-schemas.ts'

/**
 * Interactive messages, by their `interactive.type`.
 *
 * @see https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages ("Interactive object")
 */

const BODY_MAX = 1_024
const LIST_BODY_MAX = 4_096
const HEADER_MAX = 60
const FOOTER_MAX = 60
const BUTTON_TITLE_MAX = 20
const REPLY_ID_MAX = 256
const ROW_ID_MAX = 200
const ROW_TITLE_MAX = 24
const ROW_DESCRIPTION_MAX = 72
const SECTION_TITLE_MAX = 24
const SECTIONS_MAX = 10
const ROWS_MAX = 10
const PRODUCTS_MAX = 30
const CARD_BODY_MAX = 160
const CARD_LINE_BREAKS_MAX = 2

const HEADERS = {
  text: object({ text: text({ max: HEADER_MAX }) }),
  image: object({ image: file }),
  video: object({ video: file }),
  document: object({ document: file }),
}
const headerOf = (...kinds: (keyof typeof HEADERS)[]) =>
  byKind(Object.fromEntries(kinds.map((kind) => [kind, HEADERS[kind]])), { closed: true })

const textHeader = headerOf('text')
const fullHeader = headerOf('text', 'image', 'video', 'document')
/** Where Meta says nothing of the kinds. */
const anyHeader = byKind(HEADERS)

const bodyOf = (max: number) => object({ text: text({ max }) })
const footer = optional(object({ text: text({ max: FOOTER_MAX }) }))

const interactive = ({
  header = optional(anyHeader),
  body = bodyOf(BODY_MAX),
  action,
}: {
  header?: z.ZodType
  body?: z.ZodType
  action: z.ZodType
}) => object({ header, body, footer, action })

const named = (name: string, parameters?: z.ZodType) =>
  object({ name: constant(name), ...(parameters === undefined ? {} : { parameters }) })

const replyButton = object({
  type: constant('reply'),
  reply: object({
    id: text({ max: REPLY_ID_MAX }).refine(
      (value) => value === value.trim(),
      'expected no space at its beginning and end',
    ),
    title: text({ max: BUTTON_TITLE_MAX }),
  }),
})

const button = interactive({
  header: optional(fullHeader),
  action: object({
    buttons: listOf(replyButton, { min: 1, max: 3, what: 'buttons' }).superRefine((buttons, context) => {
      for (const field of ['title', 'id'] as const)
        addRepeated(context, buttons, {
          nameOf: ({ reply }) => reply[field],
          path: (index) => [index, 'reply', field],
        })
    }),
  }),
})

interface Section {
  title?: string | null | undefined
}

/** A title is needed where there are several sections to tell apart. */
const addUntitled = (context: z.RefinementCtx, sections: readonly Section[]): void => {
  if (sections.length < 2) return
  sections.forEach(({ title }, index) => {
    if (title === undefined || title === null)
      context.addIssue({
        code: 'custom',
        path: [index, 'title'],
        message: `required: expected a text of 1 to ${SECTION_TITLE_MAX} characters, as there are several sections`,
      })
  })
}

const row = object({
  id: text({ max: ROW_ID_MAX }),
  title: text({ max: ROW_TITLE_MAX }),
  description: optional(text({ min: 0, max: ROW_DESCRIPTION_MAX })),
})

const list = interactive({
  header: optional(textHeader),
  body: bodyOf(LIST_BODY_MAX),
  action: object({
    button: text({ max: BUTTON_TITLE_MAX }),
    sections: listOf(
      object({
        title: optional(text({ max: SECTION_TITLE_MAX })),
        rows: z.array(row, expected('a list of rows')).min(1, 'expected at least 1 row, found 0'),
      }),
      { min: 1, max: SECTIONS_MAX, what: 'sections' },
    ).superRefine((sections, context) => {
      addUntitled(context, sections)
      const rows = sections.flatMap(({ rows: own }, section) => own.map((item, index) => ({ item, section, index })))
      if (rows.length > ROWS_MAX)
        context.addIssue({
          code: 'custom',
          message: `expected at most ${ROWS_MAX} rows in all sections together, found ${rows.length}`,
        })
      addRepeated(context, rows, {
        nameOf: ({ item }) => item.id,
        path: (at) => {
          const { section, index } = rows[at] as (typeof rows)[number]
          return [section, 'rows', index, 'id']
        },
      })
    }),
  }),
})

const ctaParameters = object({ display_text: text({ max: BUTTON_TITLE_MAX }), url: httpUrl })

const productItem = object({ product_retailer_id: id })

/** Sections of products, in a product list and in the button of a template. */
export const productSections = listOf(
  object({
    title: optional(text({ max: SECTION_TITLE_MAX })),
    product_items: z.array(productItem, expected('a list of products')).min(1, 'expected at least 1 product, found 0'),
  }),
  { min: 1, max: SECTIONS_MAX, what: 'sections' },
).superRefine((sections, context) => {
  addUntitled(context, sections)
  const found = sections.reduce((sum, { product_items }) => sum + product_items.length, 0)
  if (found > PRODUCTS_MAX)
    context.addIssue({
      code: 'custom',
      message: `expected at most ${PRODUCTS_MAX} products in all sections together, found ${found}`,
    })
})

const cardBody = bodyOf(CARD_BODY_MAX).refine(
  ({ text: written }) => written.split(/\r\n|\r|\n/).length - 1 <= CARD_LINE_BREAKS_MAX,
  { path: ['text'], message: `expected at most ${CARD_LINE_BREAKS_MAX} line breaks` },
)

const card = byKind(
  {
    cta_url: object({
      header: headerOf('image', 'video'),
      body: optional(cardBody),
      action: named('cta_url', ctaParameters),
    }),
    product: object({ action: object({ product_retailer_id: id, catalog_id: id }) }),
  },
  { always: object({ card_index: numberWithin(0, 9) }) },
)

/** What must be the same of all cards: what they show. */
const lookOf = (item: unknown): string => {
  if (!isObject(item)) return ''
  const header = isObject(item.header) ? item.header.type : undefined
  return `${String(item.type)} ${String(header)}`.toLowerCase()
}

const carousel = interactive({
  action: object({
    cards: listOf(card, { min: 2, max: 10, what: 'cards' }).superRefine((cards, context) => {
      addRepeated(context, cards, {
        nameOf: (item) => (isObject(item) ? Number(item.card_index) : undefined),
        path: (index) => [index, 'card_index'],
      })
      const odd = cards.findIndex((item) => lookOf(item) !== lookOf(cards[0]))
      if (odd > 0)
        context.addIssue({
          code: 'custom',
          path: [odd],
          message: 'expected the same type and header as the first card',
        })
    }),
  }),
})

const flowParameters = object({
  flow_message_version: id,
  flow_id: optional(id),
  flow_name: optional(text()),
  flow_token: optional(text()),
  // About 30 characters, Meta says, and no number that could be held against it.
  flow_cta: text(),
  mode: optional(z.enum(['draft', 'published'], expected('draft or published'))),
  flow_action: optional(z.enum(['navigate', 'data_exchange'], expected('navigate or data_exchange'))),
  flow_action_payload: optional(object({})),
}).refine(
  ({ flow_id, flow_name }) => ((flow_id ?? undefined) === undefined) !== ((flow_name ?? undefined) === undefined),
  'required: expected exactly one of flow_id and flow_name',
)

/** The content of a message of type `interactive`. */
export const interactiveContent = byKind(
  {
    button,
    list,
    cta_url: interactive({ header: optional(fullHeader), action: named('cta_url', ctaParameters) }),
    product: interactive({
      body: optional(bodyOf(BODY_MAX)),
      action: object({ catalog_id: id, product_retailer_id: id }),
    }),
    product_list: interactive({ header: textHeader, action: object({ catalog_id: id, sections: productSections }) }),
    catalog_message: interactive({
      action: named('catalog_message', optional(object({ thumbnail_product_retailer_id: optional(id) }))),
    }),
    carousel,
    flow: interactive({ action: named('flow', flowParameters) }),
    location_request_message: interactive({ action: named('send_location') }),
    address_message: interactive({
      action: named('address_message', object({ country: text(), values: optional(object({})) })),
    }),
    voice_call: interactive({
      action: named(
        'voice_call',
        optional(
          object({
            display_text: optional(text({ max: BUTTON_TITLE_MAX })),
            ttl_minutes: optional(number),
            payload: optional(z.string(expected('a text'))),
          }),
        ),
      ),
    }),
    call_permission_request: interactive({
      body: optional(bodyOf(BODY_MAX)),
      action: named('call_permission_request'),
    }),
    request_contact_info: interactive({ action: named('request_contact_info') }),
  },
  // As one page of Meta's documentation prints it; the API does not take it.
  { misspelt: { contact_request: 'request_contact_info' } },
)
