import { type Filling, fieldsOf, type Given, type Parameter, textOf } from './fill-parameter.ts'
import type { ButtonKind } from './template-definition.ts'
import { COUPON_CODE_MAX } from './template-limits.ts'
import { below, isNested } from './template-tree.ts'

const URL_MAX = 2_000
const OTP_MAX = 15

/** The end of a form's address, when nobody gives a token: Meta's own default. */
const NO_FLOW_TOKEN = 'unused'

interface Rule {
  subType: string
  /** What belongs there, in words; absent where the button may be left as it is. */
  required?: string
  /** Given nothing, where the component must be there all the same. */
  otherwise?: Parameter[]
  fill: (given: Given, filling: Filling) => Parameter[]
}

const textual =
  (make: (text: string) => Parameter, max?: number): Rule['fill'] =>
  (given, filling) => {
    const text = textOf(given, filling, max)
    return text === undefined ? [] : [make(text)]
  }

/** The action of a button: its one field may be written alone. */
const action =
  (alone: string | undefined, shape: { required?: string[]; optional?: string[]; what: string }): Rule['fill'] =>
  (given, filling) => {
    if (alone !== undefined && !isNested(given.value)) {
      const text = textOf(given, filling)
      return text === undefined ? [] : [{ type: 'action', action: { [alone]: text } }]
    }
    const fields = fieldsOf(given, shape, filling)
    return fields === undefined ? [] : [{ type: 'action', action: fields }]
  }

/** @see https://developers.facebook.com/docs/whatsapp/cloud-api/guides/send-message-templates */
const RULES: Readonly<Record<Exclude<ButtonKind, 'none'>, Rule>> = {
  url: {
    subType: 'url',
    required: 'the end of its address',
    fill: textual((text) => ({ type: 'text', text }), URL_MAX),
  },
  otp: { subType: 'url', required: 'the code', fill: textual((text) => ({ type: 'text', text }), OTP_MAX) },
  // Without a payload Meta gives back the button's text.
  quick_reply: { subType: 'quick_reply', fill: textual((payload) => ({ type: 'payload', payload })) },
  copy_code: {
    subType: 'copy_code',
    required: 'the code to be copied',
    fill: textual((coupon_code) => ({ type: 'coupon_code', coupon_code }), COUPON_CODE_MAX),
  },
  flow: {
    subType: 'flow',
    otherwise: [{ type: 'action', action: { flow_token: NO_FLOW_TOKEN } }],
    fill: action('flow_token', { optional: ['flow_token', 'flow_action_data'], what: 'what the form is opened with' }),
  },
  // Without a product Meta shows the first of the catalog.
  catalog: {
    subType: 'catalog',
    fill: action('thumbnail_product_retailer_id', {
      required: ['thumbnail_product_retailer_id'],
      what: 'the product to be shown',
    }),
  },
  mpm: {
    subType: 'mpm',
    required: 'the products to be shown',
    fill: action(undefined, { required: ['thumbnail_product_retailer_id', 'sections'], what: 'products' }),
  },
  voice_call: {
    subType: 'voice_call',
    fill: (given, filling) => {
      const fields = fieldsOf(given, { optional: ['ttl_minutes', 'payload'], what: 'ttl_minutes and payload' }, filling)
      return Object.entries(fields ?? {}).map(([type, value]) => ({ type, [type]: value }))
    },
  },
}

/**
 * The components of the buttons that take something.
 *
 * @param kinds in the template's order
 * @param code  of an authentication template: what its text is filled with goes into its button as well
 */
export const fillButtons = (
  kinds: readonly ButtonKind[],
  buttons: Given | undefined,
  code: Given | undefined,
  filling: Filling,
): Record<string, unknown>[] => {
  const path = (index: number | string) => `${filling.at}buttons.${index}`
  const level = below(buttons?.value)
  if (buttons !== undefined && !isNested(buttons.value))
    filling.invalid.push({
      path: buttons.path,
      message: 'expected a list, or positions from 0 with what belongs there',
    })
  for (const key of level.keys())
    if (!/^(0|[1-9]\d*)$/.test(key) || (kinds[Number(key)] ?? 'none') === 'none') filling.surplus.push(path(key))

  return kinds.flatMap((kind, index) => {
    if (kind === 'none') return []
    const rule = RULES[kind]
    const value = level.get(String(index))
    const given =
      value === undefined ? (kind === 'otp' ? code : undefined) : { key: String(index), value, path: path(index) }
    // Told already where the code itself is missing.
    if (given === undefined && rule.required !== undefined && kind !== 'otp')
      filling.missing.push({ path: path(index), expected: rule.required })
    const parameters = given === undefined ? (rule.otherwise ?? []) : rule.fill(given, filling)
    return parameters.length > 0 ? [{ type: 'button', sub_type: rule.subType, index: String(index), parameters }] : []
  })
}
