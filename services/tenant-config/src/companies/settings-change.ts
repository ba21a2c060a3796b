import type { InvalidField } from '@cloudapi2/contracts'
import {
  type CustomProperties,
  InvalidSettings,
  isMaskedSecret,
  isSealed,
  KNOWN_PROPERTIES,
  type MaskedSecret,
  maskSecret,
  openSecret,
  SECRET_PROPERTIES,
  type SecretsKeys,
  SecretUnreadable,
  sealProperties,
} from '@cloudapi2/tenants'
import { settingsFaults } from './company.ts'

/** What settings are changed with: the keys, and whose they are. */
export interface Place {
  keys: SecretsKeys
  companyId: string
}

interface Resolved {
  /** As it is validated: secrets in clear. */
  clear: unknown
  /** As it is stored: what was sealed already stays the same text, so that an equal value is no change. */
  stored: unknown
  fault?: string
}

const opened = ({ keys, companyId }: Place, property: string, value: unknown): string | undefined => {
  if (!isSealed(value)) return typeof value === 'string' ? value : undefined
  try {
    return openSecret(keys, { companyId, property }, value)
  } catch (error) {
    if (error instanceof SecretUnreadable) return undefined
    throw error
  }
}

const resolveText = (
  place: Place,
  property: string,
  value: unknown,
  current: readonly unknown[],
  index: number,
): Resolved => {
  const keep = (stored: unknown): Resolved => ({ clear: opened(place, property, stored) ?? stored, stored })
  if (isMaskedSecret(value)) {
    const kept = masked(place, property, value, current) ?? current[index]
    return kept === undefined
      ? { clear: value, stored: value, fault: 'is masked, but there is no secret that could be kept' }
      : keep(kept)
  }
  if (isSealed(value)) {
    const clear = opened(place, property, value)
    return clear === undefined
      ? {
          clear: value,
          stored: value,
          fault: 'is sealed, but not for this property of this company, or by an unknown key',
        }
      : { clear, stored: value }
  }
  const same = current.find((secret) => secret !== value && opened(place, property, secret) === value)
  return same === undefined ? { clear: value, stored: value } : keep(same)
}

/** The secret a mask was made of, when its fingerprint tells. */
const masked = (place: Place, property: string, mask: MaskedSecret, current: readonly unknown[]): unknown =>
  mask.fingerprint === undefined
    ? undefined
    : current.find((secret) => maskSecret(opened(place, property, secret)).fingerprint === mask.fingerprint)

const resolveSecret = (place: Place, property: string, value: unknown, current: unknown): Resolved => {
  const currentList: readonly unknown[] = current === undefined || current === null ? [] : [current].flat()
  if (!Array.isArray(value)) {
    // The mask of a property that holds two is one for each; a single one means all of it.
    if (isMaskedSecret(value) && currentList.length > 1)
      return { clear: currentList.map((secret) => opened(place, property, secret) ?? secret), stored: current }
    return resolveText(place, property, value, currentList, 0)
  }
  const items = value.map((item, index) => resolveText(place, property, item, currentList, index))
  const fault = items.find((item) => item.fault !== undefined)?.fault
  return {
    clear: items.map(({ clear }) => clear),
    stored: items.map(({ stored }) => stored),
    ...(fault === undefined ? {} : { fault }),
  }
}

/** PostgreSQL's jsonb takes neither U+0000 nor half a surrogate pair. */
const isUnstorable = (value: unknown): boolean => {
  if (typeof value === 'string') return value.includes('\u0000') || /\p{Surrogate}/u.test(value)
  if (Array.isArray(value)) return value.some(isUnstorable)
  return (
    value !== null &&
    typeof value === 'object' &&
    Object.entries(value).some(([key, inner]) => isUnstorable(key) || isUnstorable(inner))
  )
}

const unstorable = (properties: CustomProperties): InvalidField[] =>
  Object.entries(properties)
    .filter((entry) => isUnstorable(entry))
    .map(([name]) => ({
      path: isUnstorable(name) ? 'custom_properties' : name,
      message: 'contains U+0000 or half a surrogate pair',
    }))

/** Secrets of `wanted` resolved against what is stored now, everything validated, then sealed. */
const settle = (place: Place, current: CustomProperties, wanted: CustomProperties): CustomProperties => {
  const clear: Record<string, unknown> = { ...wanted }
  const stored: Record<string, unknown> = { ...wanted }
  const faults: InvalidField[] = []
  for (const property of SECRET_PROPERTIES) {
    if (wanted[property] === undefined || wanted[property] === null) continue
    const resolved = resolveSecret(place, property, wanted[property], current[property])
    clear[property] = resolved.clear
    stored[property] = resolved.stored
    if (resolved.fault !== undefined) faults.push({ path: property, message: resolved.fault })
  }
  const named = new Set(faults.map(({ path }) => path))
  faults.push(
    ...[...settingsFaults(clear), ...unstorable(clear)].filter(({ path }) => !named.has(path.split('.')[0] as string)),
  )
  if (faults.length > 0) throw new InvalidSettings(faults)
  return sealProperties(place.keys, place.companyId, stored).properties
}

/**
 * The properties to store when `wanted` takes the place of `current`. A masked secret stays as it is; a known property
 * that is null is removed.
 *
 * @throws InvalidSettings naming every property that is wrong
 */
export const replaceSettings = (place: Place, current: CustomProperties, wanted: CustomProperties): CustomProperties =>
  settle(
    place,
    current,
    Object.fromEntries(
      Object.entries(wanted).filter(([name, value]) => value !== null || !KNOWN_PROPERTIES.includes(name)),
    ),
  )

/**
 * The properties to store when `patch` is merged into `current` (RFC 7396: null removes, objects merge, all else
 * replaces). A masked secret stays as it is.
 *
 * @throws InvalidSettings naming every property that is wrong, those of `current` included
 */
export const mergeSettings = (place: Place, current: CustomProperties, patch: CustomProperties): CustomProperties => {
  const merged: Record<string, unknown> = { ...current }
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name]
    // A mask is an object, and merging it into what is stored would make neither.
    else
      merged[name] = (SECRET_PROPERTIES as readonly string[]).includes(name) ? value : mergePatch(merged[name], value)
  }
  return settle(place, current, merged)
}

/** RFC 7396 §2. */
const mergePatch = (target: unknown, patch: unknown): unknown => {
  if (patch === null || typeof patch !== 'object' || Array.isArray(patch)) return patch
  const isObject = target !== null && typeof target === 'object' && !Array.isArray(target)
  const result = new Map<string, unknown>(isObject ? Object.entries(target) : [])
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) result.delete(name)
    else result.set(name, mergePatch(result.get(name), value))
  }
  return Object.fromEntries(result)
}
