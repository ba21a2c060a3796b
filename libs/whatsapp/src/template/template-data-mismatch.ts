import { GatewayError, type InvalidField } from '@cloudapi2/contracts'

/** What is wrong with one value. `path`: its key, such as `header`, `2`, `buttons.1`; `message` never quotes the value. */
export interface DataFaults {
  /** Keys the template needs and the data lacks. `expected`: what belongs there, in words. */
  missing: { path: string; expected: string }[]
  /** Keys of the data that the template does not have. */
  surplus: string[]
  /** Keys whose value cannot be what the template needs there. */
  invalid: InvalidField[]
}

/** Not in the template, told of each key. */
const SURPLUS = 'the template does not have it'

/** The data does not fit the template: Meta would refuse it (132000, 132012). Names only, never values. */
export class TemplateDataMismatch extends GatewayError {
  /** Keys the template needs and the data lacks, such as `first_name`, `2`, `header`, `buttons.1`, `cards.0.1`. */
  readonly missing: readonly string[]
  /** Keys of the data that the template does not have. */
  readonly surplus: readonly string[]
  /** All of it, by key: what is missing, too much, or not what belongs there. */
  readonly fields: readonly InvalidField[]
  constructor({ missing, surplus, invalid }: DataFaults) {
    const faults = [
      ...(missing.length > 0 ? [`missing: ${missing.map(({ path }) => path).join(', ')}`] : []),
      ...(surplus.length > 0 ? [`not in the template: ${surplus.join(', ')}`] : []),
      ...invalid.map(({ path, message }) => `${path}: ${message}`),
    ]
    super(`template_data does not fit the template: ${faults.join('; ')}`, {
      code: 'TEMPLATE_DATA_MISMATCH',
      retryable: false,
    })
    this.missing = missing.map(({ path }) => path)
    this.surplus = surplus
    this.fields = [
      ...missing.map(({ path, expected }) => ({ path, message: `required: expected ${expected}` })),
      ...surplus.map((path) => ({ path, message: SURPLUS })),
      ...invalid,
    ]
  }
}
