import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { fillTemplate, type TemplateData, TemplateDataMismatch, type TemplateLayout } from './fill-template.ts'
import { isSameLanguage, parseTemplateDefinition } from './template-definition.ts'

const fixture = (path: string): { data: unknown[] } =>
  JSON.parse(readFileSync(new URL(`../../fixtures/${path}`, import.meta.url), 'utf8'))

describe('a definition', () => {
  const definitions = fixture('graph/templates.list.json').data.map(parseTemplateDefinition)

  test('of a positional template', () =>
    expect(definitions[0]).toEqual({
      id: '772104938815520',
      name: 'order_ready',
      language: 'en_US',
      status: 'APPROVED',
      category: 'UTILITY',
      parameterFormat: 'POSITIONAL',
      headerParameters: [],
      bodyParameters: ['1', '2'],
    }))

  test('of a named template with an image', () =>
    expect(definitions[1]).toEqual({
      id: '772104938815999',
      name: 'week_offer',
      language: 'en_US',
      status: 'PAUSED',
      category: 'MARKETING',
      parameterFormat: 'NAMED',
      headerFormat: 'IMAGE',
      headerParameters: [],
      bodyParameters: ['first_name'],
    }))

  test('of a text header counts its parameters apart', () =>
    expect(parseTemplateDefinition(fixture('outbound/template-create.json'))).toMatchObject({
      parameterFormat: 'POSITIONAL',
      headerFormat: 'TEXT',
      headerParameters: ['1'],
      bodyParameters: ['1', '2'],
    }))

  test('names each parameter once, positions in their order', () => {
    const body = (text: string) =>
      parseTemplateDefinition({ name: 'a', language: 'es', components: [{ type: 'BODY', text }] })
    expect(body('{{10}} {{2}} {{1}} {{2}}')).toMatchObject({
      parameterFormat: 'POSITIONAL',
      bodyParameters: ['1', '2', '10'],
    })
    expect(body('{{ b }} {{a}} {{b}}')).toMatchObject({ parameterFormat: 'NAMED', bodyParameters: ['b', 'a'] })
    expect(body('no parameters')).toMatchObject({ bodyParameters: [] })
  })

  test.each([[null], [3], [{}], [{ name: 'a' }], [{ language: 'es' }]])('%j is none', (item) =>
    expect(parseTemplateDefinition(item)).toBeUndefined(),
  )

  test.each([[undefined], ['x'], [[null, 3, { type: 7 }, { type: 'BODY' }]]])(
    'components of %j ask for nothing',
    (components) =>
      expect(parseTemplateDefinition({ name: 'a', language: 'es', components })).toMatchObject({
        headerParameters: [],
        bodyParameters: [],
      }),
  )

  test('en_US and en-US are one language, en is another', () => {
    expect(isSameLanguage('en_US', 'en-us')).toBe(true)
    expect(isSameLanguage('en_US', 'en')).toBe(false)
  })
})

describe('filling a template', () => {
  const named: TemplateLayout = {
    parameterFormat: 'NAMED',
    headerParameters: ['shop'],
    bodyParameters: ['name', 'order'],
  }
  const positional: TemplateLayout = {
    parameterFormat: 'POSITIONAL',
    headerParameters: ['1'],
    bodyParameters: ['1', '2'],
  }
  const texts = (layout: TemplateLayout, data: TemplateData) => {
    const { header, body } = fillTemplate(layout, data)
    return [header.map((one) => one.text), body.map((one) => one.text)]
  }
  const mismatch = (layout: TemplateLayout, data: TemplateData) => {
    try {
      fillTemplate(layout, data)
    } catch (error) {
      if (error instanceof TemplateDataMismatch) return [error.missing, error.surplus]
    }
    return 'fits'
  }

  test('names go where they belong, in any order and of any type', () =>
    expect(fillTemplate(named, { order: 5521, name: 'Nora', shop: true })).toEqual({
      header: [{ type: 'text', text: 'true', parameter_name: 'shop' }],
      body: [
        { type: 'text', text: 'Nora', parameter_name: 'name' },
        { type: 'text', text: '5521', parameter_name: 'order' },
      ],
    }))

  test('positions count through the header, then the body', () =>
    expect(texts(positional, { '3': 'c', '1': 'a', '2': 'b' })).toEqual([['a'], ['b', 'c']]))

  test('words for keys of a positional template count in their own order', () =>
    expect(texts(positional, { shop: 'a', name: 'b', order: 'c' })).toEqual([['a'], ['b', 'c']]))

  test.each<[TemplateLayout, TemplateData, string[], string[]]>([
    [named, {}, ['shop', 'name', 'order'], []],
    [named, { shop: 'a', nmae: 'b', order: 'c' }, ['name'], ['nmae']],
    [named, { shop: 'a', name: 'b', order: 'c', extra: 'd' }, [], ['extra']],
    [positional, {}, ['1', '2', '3'], []],
    [positional, { '1': 'a', '2': 'b', '4': 'd' }, ['3'], ['4']],
    [positional, { shop: 'a' }, ['2', '3'], []],
    [positional, { a: 'a', b: 'b', c: 'c', d: 'd' }, [], ['d']],
    [{ parameterFormat: 'NAMED', bodyParameters: ['toString'] }, {}, ['toString'], []],
  ])('%j with %j lacks %j and has %j too much', (layout, data, missing, surplus) =>
    expect(mismatch(layout, data)).toEqual([missing, surplus]),
  )

  test('the error names keys and never values', () => {
    const error = new TemplateDataMismatch(['name'], ['nmae'])
    expect(error).toMatchObject({ code: 'TEMPLATE_DATA_MISMATCH', retryable: false })
    expect(error.message).toBe('template_data does not fit the template: missing: name; not in the template: nmae')
  })
})
