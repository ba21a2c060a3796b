import { GatewayError } from '@cloudapi2/contracts'
import type { TemplateDefinition } from './template-definition.ts'

export type TemplateData = Readonly<Record<string, string | number | boolean>>

/** The part of a definition that says what is to be filled in. */
export type TemplateLayout = Pick<TemplateDefinition, 'parameterFormat' | 'bodyParameters'> &
  Partial<Pick<TemplateDefinition, 'headerFormat' | 'headerParameters'>>

/** One parameter of Meta's request; named templates want the name in it. */
export interface TextParameter {
  type: 'text'
  text: string
  parameter_name?: string
}

export interface FilledTemplate {
  header: TextParameter[]
  body: TextParameter[]
}

/** The data does not fit the template: Meta would refuse it (132000, 132012). Names only, never values. */
export class TemplateDataMismatch extends GatewayError {
  /** Parameters of the template that the data lacks; a header's file is called `header.image`, `header.video`, … */
  readonly missing: readonly string[]
  /** Keys of the data that the template does not have. */
  readonly surplus: readonly string[]
  constructor(missing: readonly string[], surplus: readonly string[]) {
    const faults = [
      ...(missing.length > 0 ? [`missing: ${missing.join(', ')}`] : []),
      ...(surplus.length > 0 ? [`not in the template: ${surplus.join(', ')}`] : []),
    ]
    super(`template_data does not fit the template: ${faults.join('; ')}`, {
      code: 'TEMPLATE_DATA_MISMATCH',
      retryable: false,
    })
    this.missing = missing
    this.surplus = surplus
  }
}

const INTEGER = /^\d+$/

const byName = (layout: TemplateLayout, data: TemplateData): FilledTemplate => {
  const header = layout.headerParameters ?? []
  const wanted = new Set([...header, ...layout.bodyParameters])
  const missing = [...wanted].filter((name) => !Object.hasOwn(data, name))
  const surplus = Object.keys(data).filter((name) => !wanted.has(name))
  if (missing.length > 0 || surplus.length > 0) throw new TemplateDataMismatch(missing, surplus)
  const parameter = (name: string): TextParameter => ({ type: 'text', text: String(data[name]), parameter_name: name })
  return { header: header.map(parameter), body: layout.bodyParameters.map(parameter) }
}

const byPosition = (layout: TemplateLayout, data: TemplateData): FilledTemplate => {
  const headerCount = layout.headerParameters?.length ?? 0
  const count = headerCount + layout.bodyParameters.length
  const positions = Array.from({ length: count }, (_, index) => String(index + 1))
  // Keys that are numbers come first and ascending, whatever order they were written in; others keep theirs.
  const keys = Object.keys(data)
  const isNumbered = keys.every((key) => INTEGER.test(key))
  const missing = isNumbered ? positions.filter((one) => !Object.hasOwn(data, one)) : positions.slice(keys.length)
  const surplus = isNumbered ? keys.filter((key) => !positions.includes(key)) : keys.slice(count)
  if (missing.length > 0 || surplus.length > 0) throw new TemplateDataMismatch(missing, surplus)
  const parameters = keys.map((key): TextParameter => ({ type: 'text', text: String(data[key]) }))
  return { header: parameters.slice(0, headerCount), body: parameters.slice(headerCount) }
}

/**
 * Puts data into a template's text header and body: by name, or in order. Positions count through the header first, then
 * the body: with `{{1}}` in both, `1` is the header's and `2` the body's. Data of a positional template may also have
 * words for keys; their order counts then.
 *
 * @throws TemplateDataMismatch naming what is missing and what is too much
 */
export const fillTemplate = (layout: TemplateLayout, data: TemplateData): FilledTemplate =>
  layout.parameterFormat === 'NAMED' ? byName(layout, data) : byPosition(layout, data)
