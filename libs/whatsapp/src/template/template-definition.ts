import { asId, asObject, asText } from '../json-values.ts'

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
  /** `TEXT`, `IMAGE`, `VIDEO`, `DOCUMENT`, `LOCATION`, …; absent without a header. */
  headerFormat?: string
  /** Of a text header, as the template writes them: names, or `1`. */
  headerParameters: readonly string[]
  /** Names in the order of their first appearance, or `1` to `n`. */
  bodyParameters: readonly string[]
}

const PLACEHOLDER = /\{\{\s*([^{}\s]+)\s*\}\}/g
const INTEGER = /^\d+$/

const parametersIn = (text: string | undefined): string[] => {
  const names = [...new Set([...(text ?? '').matchAll(PLACEHOLDER)].map((match) => match[1] as string))]
  return names.every((name) => INTEGER.test(name)) ? names.sort((a, b) => Number(a) - Number(b)) : names
}

/**
 * Reads one item of `GET /{waba-id}/message_templates`.
 *
 * @returns undefined for what has neither name nor language
 */
export const parseTemplateDefinition = (item: unknown): TemplateDefinition | undefined => {
  const sent = asObject(item)
  const name = asId(sent?.name)
  const language = asId(sent?.language)
  if (sent === undefined || name === undefined || language === undefined) return undefined
  const components = (Array.isArray(sent.components) ? sent.components : []).map(asObject)
  const component = (type: string) => components.find((one) => asText(one?.type)?.toUpperCase() === type)
  const header = component('HEADER')
  const headerFormat = header === undefined ? undefined : (asText(header.format)?.toUpperCase() ?? 'TEXT')
  const headerParameters = headerFormat === 'TEXT' ? parametersIn(asText(header?.text)) : []
  const bodyParameters = parametersIn(asText(component('BODY')?.text))
  const format = asText(sent.parameter_format)?.toUpperCase()
  const isPositional =
    format === 'POSITIONAL' ||
    (format !== 'NAMED' && [...headerParameters, ...bodyParameters].every((one) => INTEGER.test(one)))

  const id = asId(sent.id)
  const status = asText(sent.status)
  const category = asText(sent.category)
  return {
    ...(id === undefined ? {} : { id }),
    name,
    language,
    ...(status === undefined ? {} : { status }),
    ...(category === undefined ? {} : { category }),
    parameterFormat: isPositional ? 'POSITIONAL' : 'NAMED',
    ...(headerFormat === undefined ? {} : { headerFormat }),
    headerParameters,
    bodyParameters,
  }
}

/** Meta writes a language as `en_US` and as `en-US`. */
export const isSameLanguage = (a: string, b: string): boolean =>
  a.replace('-', '_').toLowerCase() === b.replace('-', '_').toLowerCase()
