import type { OutboundMessage, SendError } from '@cloudapi2/contracts'
import {
  canonicalLanguage,
  type TemplateDataMismatch,
  type TemplateDefinition,
  type TemplateDefinitionNeeded,
} from '@cloudapi2/whatsapp'
import type { FetchedTemplate, TemplateName } from './channel.ts'

type Json = Record<string, unknown>
const object = (value: unknown): Json =>
  value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Json) : {}
const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined)

const named = (name: string | undefined, language: string | undefined): TemplateName | undefined =>
  name === undefined || language === undefined ? undefined : { name, language: canonicalLanguage(language) }

/** The template that a message is made of, in its short form or as Meta's own body. */
export const templateOfMessage = (message: OutboundMessage): TemplateName | undefined => {
  if (message.type === 'template') return named(message.template_name, message.language)
  if (message.type !== 'raw' || text(message.body.type)?.toLowerCase() !== 'template') return undefined
  const content = object(message.body.template)
  return named(text(content.name), text(object(content.language).code))
}

/** Meta's webhooks about templates: of their state, their text, their quality and their category. */
const TEMPLATE_FIELD = /^(message_)?template_/

/** The template that a webhook tells a change of. */
export const templateOfWebhook = (field: string, raw: unknown): TemplateName | undefined => {
  if (!TEMPLATE_FIELD.test(field)) return undefined
  // The event holds the whole change, or its value.
  const change = object(raw)
  const value = change.message_template_name === undefined ? object(change.value) : change
  return named(text(value.message_template_name), text(value.message_template_language))
}

/** What was fetched, as the sender keeps it. */
export const fetchedTemplate = (template: TemplateDefinition): FetchedTemplate => ({
  name: template.name,
  language: canonicalLanguage(template.language),
  writtenAs: template.language,
  definition: { ...template },
  isLasting: refusalByStatus(template) === undefined,
})

/** Answers of Meta's that say: the template is not what its sender takes it for (unknown, other parameters, paused, …). */
const DOUBTS = new Set([132_000, 132_001, 132_012, 132_015, 132_016])
export const doubtsTemplate = (code: number): boolean => DOUBTS.has(code)

export const unknownTemplate = (name: TemplateName, languages: readonly string[]): SendError => ({
  code: 'UNKNOWN_TEMPLATE',
  title: languages.length === 0 ? 'There is no such template' : 'The template does not exist in this language',
  details:
    languages.length === 0
      ? `${name.name}: the account has no template of this name`
      : `${name.name}: it exists in ${[...languages].sort().join(', ')}`,
  action:
    languages.length === 0
      ? 'Check the name, or create the template at Meta.'
      : 'Use one of these languages, or add the translation at Meta.',
  fault: 'request',
  languages,
})

const PAUSED = {
  code: 'TEMPLATE_PAUSED',
  title: 'The template is paused',
  action: 'Edit the template, or wait until Meta has unpaused it.',
}
const DISABLED = {
  code: 'TEMPLATE_DISABLED',
  title: 'The template is disabled',
  action: 'Create a new template.',
}
const NOT_APPROVED = {
  code: 'TEMPLATE_NOT_APPROVED',
  title: 'The template is not approved',
  action: 'Correct the template and have it approved, or use another one.',
}

/**
 * Statuses that Meta refuses for certain: 132015, 132016, and 132001 for what is not approved. Whether it sends in any
 * other, it says itself.
 */
const REFUSED: Readonly<Record<string, typeof PAUSED>> = {
  PAUSED,
  DISABLED,
  REJECTED: NOT_APPROVED,
  DELETED: NOT_APPROVED,
  PENDING_DELETION: NOT_APPROVED,
}

/** Why a template cannot be sent as it stands. */
export const refusalByStatus = ({ name, language, status }: TemplateDefinition): SendError | undefined => {
  const refused = REFUSED[status?.toUpperCase() ?? '']
  return refused && { ...refused, details: `${name} in ${language}: its status is ${status}`, fault: 'request' }
}

/** `prefix`: in front of each key, from the command. */
export const mismatch = (error: TemplateDataMismatch, prefix: string): SendError => ({
  code: error.code,
  title: 'The data does not fit the template',
  details: error.message,
  action: 'Give exactly the parameters of the template.',
  missing: error.missing,
  surplus: error.surplus,
  fields: error.fields.map(({ path, message }) => ({ path: `${prefix}.${path}`, message })),
  fault: 'request',
})

export const definitionNeeded = (error: TemplateDefinitionNeeded): SendError => ({
  code: error.code,
  title: 'The template is not known well enough',
  details: error.message,
  action: 'Set WHATSAPP_BUSINESS_ID and a token that may read templates; or send the template as a raw message.',
  fault: 'request',
})
