import type { TemplateValue } from '@cloudapi2/contracts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fillTemplate } from './fill-template.ts'
import { body, buttons, carousel, definitionOf, header, offer, url } from './template.rig.ts'
import { TemplateDataMismatch } from './template-data-mismatch.ts'
import type { TemplateDefinition } from './template-definition.ts'

/** A part of a template, and what must be given for it: keys of the data with their values. */
interface Piece {
  components: object[]
  needs: [key: string, value: TemplateValue][]
}
const nothing: Piece = { components: [], needs: [] }

const HEADERS: Piece[] = [
  nothing,
  { components: [header('TEXT', 'Hello')], needs: [] },
  { components: [header('IMAGE')], needs: [['header', 'https://a.example/a.png']] },
  { components: [header('VIDEO')], needs: [['header', '1460927783319058']] },
  { components: [header('DOCUMENT')], needs: [['header.id', '146']] },
  { components: [header('TEXT', 'To {{to_1}}')], needs: [['to_1', 'Nora']] },
  {
    components: [header('LOCATION')],
    needs: [
      ['header.latitude', 1],
      ['header.longitude', 2],
    ],
  },
]
const BUTTONS: [button: string | object, needs: TemplateValue | undefined][] = [
  ['PHONE_NUMBER', undefined],
  ['QUICK_REPLY', undefined],
  ['COPY_CODE', 'BREAD25'],
  [url, 'a/b?c={{1}}'],
  ['FLOW', undefined],
]

const word = fc.stringMatching(/^[a-z][a-z_]{0,8}$/)
const buttonsOf = fc.array(fc.constantFrom(...BUTTONS), { maxLength: 4 }).map(
  (chosen): Piece => ({
    components: chosen.length === 0 ? [] : [buttons(...chosen.map(([button]) => button))],
    needs: chosen.flatMap(([, value], index) => (value === undefined ? [] : [[`buttons.${index}`, value]])),
  }),
)
/** Its parameters are called for by names nobody else has. */
const bodyOf = (path: string) =>
  fc.uniqueArray(word, { maxLength: 4 }).map(
    (names): Piece => ({
      components: [body(names.map((name) => `{{${name}}}`).join(' '))],
      needs: names.map((name) => [`${path}${name}`, `the ${name}`]),
    }),
  )
const cardsOf = fc.array(fc.tuple(fc.constantFrom(...HEADERS.slice(2, 4)), buttonsOf), { maxLength: 3 }).map(
  (cards): Piece => ({
    components: cards.length === 0 ? [] : [carousel(...cards.map((pieces) => pieces.flatMap((one) => one.components)))],
    needs: cards.flatMap((pieces, index) =>
      pieces.flatMap((one) => one.needs).map(([key, value]): Piece['needs'][0] => [`cards.${index}.${key}`, value]),
    ),
  }),
)
const offerOf = fc.constantFrom<Piece>(nothing, {
  components: [offer()],
  needs: [['offer_expires_at', '2026-12-24T18:00:00Z']],
})

const template = fc.tuple(fc.constantFrom(...HEADERS), bodyOf('body.'), buttonsOf, cardsOf, offerOf).map((pieces) => ({
  definition: definitionOf(
    pieces.flatMap((one) => one.components),
    { parameter_format: 'NAMED' },
  ),
  needs: pieces.flatMap((one) => one.needs),
}))
const faultsOf = (definition: TemplateDefinition, needs: Piece['needs']) => {
  try {
    fillTemplate(definition, Object.fromEntries(needs))
  } catch (error) {
    if (error instanceof TemplateDataMismatch) return error
    throw error
  }
  return undefined
}

test('any template with exactly its data is filled, and each value is in it', () =>
  fc.assert(
    fc.property(template, ({ definition, needs }) => {
      const filled = JSON.stringify(fillTemplate(definition, Object.fromEntries(needs)))
      for (const [key, value] of needs) {
        const text = key === 'offer_expires_at' ? Date.parse(String(value)) : value
        expect(filled).toContain(String(text))
      }
    }),
  ))

test('any key that is left out is named, and nothing else', () =>
  fc.assert(
    fc.property(template, fc.nat(), ({ definition, needs }, nth) => {
      fc.pre(needs.length > 0)
      const [left] = needs.slice(nth % needs.length)
      const faults = faultsOf(
        definition,
        needs.filter((one) => one !== left),
      )
      const name = (left?.[0] ?? '').replace(/^body\./, '')
      // The file of a document has no other field.
      expect(faults?.missing).toEqual([name === 'header.id' ? 'header' : name])
      expect(faults?.surplus).toEqual([])
    }),
  ))

test('any key too much is named', () =>
  fc.assert(
    fc.property(template, word, ({ definition, needs }, name) => {
      fc.pre(!needs.some(([key]) => key === `body.${name}` || key === name))
      expect(faultsOf(definition, [...needs, [`body.${name}`, 'x']])?.surplus).toEqual([`body.${name}`])
    }),
  ))
