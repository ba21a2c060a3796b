import { asObject, asText } from '../json-values.ts'
import type { TemplateLayout } from './fill-template.ts'
import { type DataFaults, TemplateDataMismatch } from './template-data-mismatch.ts'

/** A parameter by name, or by position. */
const keyOf = (parameter: unknown, index: number, isNamed: boolean): string =>
  (isNamed ? asText(asObject(parameter)?.parameter_name) : undefined) ?? String(index + 1)

/**
 * Holds the parameters of the body in a ready-made `template` object of Meta's against the definition. Everything else in
 * it is between its author and Meta.
 *
 * @throws TemplateDataMismatch naming parameters as the template does: `2`, `first_name`
 */
export const checkRawTemplate = (layout: TemplateLayout, template: unknown): void => {
  const components: unknown = asObject(template)?.components ?? []
  if (!Array.isArray(components)) return
  const body = components.map(asObject).find((one) => asText(one?.type)?.toLowerCase() === 'body')
  const parameters: unknown[] = Array.isArray(body?.parameters) ? body.parameters : []
  const isNamed = layout.parameterFormat === 'NAMED'
  const given = parameters.map((parameter, index) => keyOf(parameter, index, isNamed))
  const wanted = isNamed ? layout.bodyParameters : layout.bodyParameters.map((_, index) => String(index + 1))
  const faults: DataFaults = {
    missing: wanted
      .filter((key) => !given.includes(key))
      .map((path) => ({ path, expected: 'a parameter of the body' })),
    surplus: given.filter((key, index) => !wanted.includes(key) || given.indexOf(key) !== index),
    invalid: [],
  }
  if (faults.missing.length > 0 || faults.surplus.length > 0) throw new TemplateDataMismatch(faults)
}
