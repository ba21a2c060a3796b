import { type CustomProperties, SECRET_PROPERTIES } from './custom-properties.ts'
import { maskSecret } from './mask.ts'
import {
  isSealed,
  isSealedWithFirstKey,
  openSecret,
  type SecretsKeys,
  SecretUnreadable,
  sealSecret,
} from './sealed-secrets.ts'

/** A secret that is set and cannot be opened. `reason` names the key id, never a value. */
export interface UnreadableSecret {
  property: string
  reason: string
}

/** The same properties with `change` applied to every secret in them, those inside a list included. */
const mapSecrets = (
  properties: CustomProperties,
  change: (property: string, value: unknown) => unknown,
): CustomProperties => {
  const result: Record<string, unknown> = { ...properties }
  for (const property of SECRET_PROPERTIES) {
    const value = result[property]
    if (value === undefined || value === null) continue
    result[property] = Array.isArray(value)
      ? value.map((item: unknown) => change(property, item))
      : change(property, value)
  }
  return result
}

/**
 * Seals what is in clear, and seals again what an older key sealed. What is no text, empty, or cannot be opened stays as
 * it is.
 *
 * @returns the properties, and the names of those that were sealed (none: nothing changed)
 */
export const sealProperties = (
  keys: SecretsKeys,
  companyId: string,
  properties: CustomProperties,
): { properties: CustomProperties; sealed: string[] } => {
  const sealed = new Set<string>()
  const result = mapSecrets(properties, (property, value) => {
    if (typeof value !== 'string' || value === '') return value
    const place = { companyId, property }
    if (!isSealed(value)) {
      sealed.add(property)
      return sealSecret(keys, place, value)
    }
    if (isSealedWithFirstKey(keys, value)) return value
    try {
      const again = sealSecret(keys, place, openSecret(keys, place, value))
      sealed.add(property)
      return again
    } catch (error) {
      if (error instanceof SecretUnreadable) return value
      throw error
    }
  })
  return { properties: result, sealed: [...sealed] }
}

/**
 * Opens what is sealed; what is in clear stays. A property with a secret that cannot be opened is left out, and told of
 * in `unreadable`; of a list, those that can be opened remain.
 */
export const openProperties = (
  keys: SecretsKeys,
  companyId: string,
  properties: CustomProperties,
): { properties: CustomProperties; unreadable: UnreadableSecret[] } => {
  const unreadable: UnreadableSecret[] = []
  const opened = mapSecrets(properties, (property, value) => {
    if (!isSealed(value)) return value
    try {
      return openSecret(keys, { companyId, property }, value)
    } catch (error) {
      if (!(error instanceof SecretUnreadable)) throw error
      unreadable.push({ property, reason: error.message })
      return undefined
    }
  })
  return { properties: withoutUnreadable(opened), unreadable }
}

const withoutUnreadable = (properties: CustomProperties): CustomProperties => {
  const result: Record<string, unknown> = { ...properties }
  for (const property of SECRET_PROPERTIES) {
    const value = result[property]
    if (!Array.isArray(value)) {
      if (value === undefined) delete result[property]
      continue
    }
    const readable = value.filter((item) => item !== undefined)
    if (readable.length > 0 || value.length === 0) result[property] = readable
    else delete result[property]
  }
  return result
}

/**
 * The properties as they may be shown and told: every secret replaced by its mask (see `MaskedSecret`), whatever its form;
 * absent ones and nulls stay as they are.
 */
export const maskProperties = (keys: SecretsKeys, companyId: string, properties: CustomProperties): CustomProperties =>
  mapSecrets(properties, (property, value) => {
    if (typeof value !== 'string') return maskSecret(undefined)
    if (!isSealed(value)) return maskSecret(value)
    try {
      return maskSecret(openSecret(keys, { companyId, property }, value))
    } catch (error) {
      if (error instanceof SecretUnreadable) return maskSecret(undefined)
      throw error
    }
  })
