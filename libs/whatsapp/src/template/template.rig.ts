import type { TemplateDefinition } from './template-definition.ts'
import { parseTemplateDefinition } from './template-definition.ts'

/** A definition as Meta gives it. */
export const definitionOf = (components: object[], more: object = {}): TemplateDefinition =>
  parseTemplateDefinition({ name: 'a', language: 'en_US', components, ...more }) as TemplateDefinition

export const header = (format: string, text?: string) => ({
  type: 'HEADER',
  format,
  ...(text === undefined ? {} : { text }),
})
export const body = (text: string) => ({ type: 'BODY', text })
export const buttons = (...all: (string | object)[]) => ({
  type: 'BUTTONS',
  buttons: all.map((one) => (typeof one === 'string' ? { type: one } : one)),
})
export const url = { type: 'URL', url: 'https://example.com/t/{{1}}' }
export const fixedUrl = { type: 'URL', url: 'https://example.com/' }
export const carousel = (...cards: object[][]) => ({
  type: 'CAROUSEL',
  cards: cards.map((components) => ({ components })),
})
export const offer = (has_expiration = true) => ({ type: 'LIMITED_TIME_OFFER', limited_time_offer: { has_expiration } })
