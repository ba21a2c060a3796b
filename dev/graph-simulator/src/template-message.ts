import {
  type GraphRefusal,
  invalidParameter,
  missingParameter,
  templateDisabled,
  templateParameterCount,
  templateParameterFormat,
  templatePaused,
  templateUnknown,
} from './graph-refusal.ts'
import { isObject, type JsonObject, objectsOf, textOf } from './json.ts'
import type { Template } from './tenants.ts'

/** The variables of a template's text: `{{1}}`, `{{2}}` or `{{first_name}}`, each once, in order of appearance. */
const variablesOf = (text: string): string[] => [
  ...new Set([...text.matchAll(/\{\{\s*(\w+)\s*\}\}/g)].map((match) => match[1] as string)),
]

const MEDIA_FORMATS = ['IMAGE', 'VIDEO', 'DOCUMENT', 'LOCATION', 'PRODUCT']

const componentOf = (template: Template, type: string): JsonObject | undefined =>
  template.components.find((component) => component.type.toUpperCase() === type)

const checkText = (where: string, text: string, format: string, given: JsonObject[]): GraphRefusal | undefined => {
  const expected = variablesOf(text)
  if (given.length !== expected.length) return templateParameterCount(where, given.length, expected.length)
  if (given.some((parameter) => parameter.type === 'text' && !textOf(parameter.text)))
    return missingParameter(`${where}: Parameter of type text is missing text value`)
  if (format !== 'NAMED') return undefined
  const names = given.map((parameter) => textOf(parameter.parameter_name))
  const absent = expected.find((name) => !names.includes(name))
  return absent === undefined ? undefined : invalidParameter(`${where}: Parameter name is missing or empty: ${absent}`)
}

const checkHeader = (template: Template, given: JsonObject[]): GraphRefusal | undefined => {
  const header = componentOf(template, 'HEADER')
  const format = textOf(header?.format)?.toUpperCase() ?? 'TEXT'
  if (!header || !MEDIA_FORMATS.includes(format))
    return checkText('header', textOf(header?.text) ?? '', template.parameter_format, given)
  const received = textOf(given[0]?.type)?.toUpperCase() ?? 'UNKNOWN'
  if (given.length > 1) return templateParameterCount('header', given.length, 1)
  return received === format ? undefined : templateParameterFormat('header', format, received)
}

const checkButtons = (template: Template, given: JsonObject[]): GraphRefusal | undefined => {
  const buttons = objectsOf(componentOf(template, 'BUTTONS')?.buttons)
  for (const [index, button] of buttons.entries()) {
    const isUrl = button.type === 'URL' && variablesOf(textOf(button.url) ?? '').length > 0
    const isCode = button.type === 'COPY_CODE'
    if (!isUrl && !isCode) continue
    const found = given.find((component) => Number(component.index) === index)
    if (objectsOf(found?.parameters).length === 0)
      return missingParameter(
        `buttons: Button at index ${index} of type ${isUrl ? 'Url' : 'CopyCode'} requires a parameter`,
      )
  }
  const beyond = given.find((component) => !(Number(component.index) < buttons.length))
  return beyond ? invalidParameter(`buttons: Button at index ${String(beyond.index)} does not exist`) : undefined
}

/**
 * Finds the template a message asks for and checks what it brings against the definition, as Meta does.
 *
 * @param message the `template` object of the body
 * @returns the template, or what Meta would answer
 */
export const checkTemplate = (
  message: JsonObject,
  templates: readonly Template[],
): { template: Template } | { refusal: GraphRefusal } => {
  const name = textOf(message.name)
  const language = isObject(message.language) ? textOf(message.language.code) : undefined
  if (!name) return { refusal: missingParameter("Parameter 'name' is mandatory for type 'template'") }
  if (!language) return { refusal: missingParameter("Parameter 'language' is mandatory for type 'template'") }
  const template = templates.find((candidate) => candidate.name === name && candidate.language === language)
  if (template?.status === 'PAUSED') return { refusal: templatePaused() }
  if (template?.status === 'DISABLED') return { refusal: templateDisabled() }
  if (template?.status !== 'APPROVED') return { refusal: templateUnknown(name, language) }

  const components = objectsOf(message.components)
  const ofType = (type: string) => components.filter((component) => textOf(component.type)?.toLowerCase() === type)
  const parametersOf = (type: string) => ofType(type).flatMap((component) => objectsOf(component.parameters))
  const body = textOf(componentOf(template, 'BODY')?.text) ?? ''
  const refusal =
    checkHeader(template, parametersOf('header')) ??
    checkText('body', body, template.parameter_format, parametersOf('body')) ??
    checkButtons(template, ofType('button'))
  return refusal ? { refusal } : { template }
}
