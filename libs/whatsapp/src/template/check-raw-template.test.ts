import { expect, test } from 'vitest'
import { checkRawTemplate } from './check-raw-template.ts'
import { body, definitionOf } from './template.rig.ts'
import { TemplateDataMismatch } from './template-data-mismatch.ts'

const positional = definitionOf([body('{{1}} {{2}}')])
const named = definitionOf([body('{{name}} {{order}}')])
const text = (parameter_name?: string) => ({ type: 'text', text: 'x', ...(parameter_name ? { parameter_name } : {}) })
const faultsOf = (layout: typeof positional, components: unknown) => {
  try {
    checkRawTemplate(layout, { name: 'a', components })
  } catch (error) {
    if (error instanceof TemplateDataMismatch) return [error.missing, error.surplus]
  }
  return 'fits'
}

test('as many parameters as the body has fit, named ones in any order', () => {
  expect(faultsOf(positional, [{ type: 'body', parameters: [text(), text()] }])).toBe('fits')
  expect(faultsOf(positional, [{ type: 'header' }, { type: 'BODY', parameters: [text(), text()] }])).toBe('fits')
  expect(faultsOf(named, [{ type: 'body', parameters: [text('order'), text('name')] }])).toBe('fits')
  expect(faultsOf(definitionOf([body('x')]), undefined)).toBe('fits')
})

test('what is missing, or too much, is named', () => {
  expect(faultsOf(positional, undefined)).toEqual([['1', '2'], []])
  expect(faultsOf(positional, [{ type: 'body', parameters: [text()] }])).toEqual([['2'], []])
  expect(faultsOf(positional, [{ type: 'body', parameters: [text(), text(), text()] }])).toEqual([[], ['3']])
  expect(faultsOf(named, [{ type: 'body', parameters: [text('name'), text('name')] }])).toEqual([['order'], ['name']])
  expect(faultsOf(named, [{ type: 'body', parameters: [text()] }])).toEqual([['name', 'order'], ['1']])
})
