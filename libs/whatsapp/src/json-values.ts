import { withoutNul } from '@cloudapi2/contracts'

/** Reading JSON that nobody promised the shape of: each function gives the value wanted, or undefined, and never throws. */

export type JsonObject = Record<string, unknown>

export const asObject = (value: unknown): JsonObject | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined

/** Node 20 has these; TypeScript knows them from ES2024 on. */
interface WellFormedText {
  isWellFormed(): boolean
  toWellFormed(): string
}

/** Text that any store takes: half of a surrogate pair is as unwelcome to PostgreSQL's jsonb as U+0000. */
export const storable = (text: string): string => {
  const wellFormed = text as unknown as WellFormedText
  return withoutNul(wellFormed.isWellFormed() ? text : wellFormed.toWellFormed())
}

/** A text, or a number where a text was due. */
export const asText = (value: unknown): string | undefined => {
  if (typeof value === 'string') return storable(value)
  return typeof value === 'number' && Number.isFinite(value) ? String(value) : undefined
}

/** Meta's ids have up to 128 characters; one far beyond that is no id, and would be a burden in every key. */
export const MAX_ID_LENGTH = 512

/** A text that can name something: neither empty nor beyond `MAX_ID_LENGTH`. */
export const asId = (value: unknown): string | undefined => {
  const text = asText(value)
  return text !== undefined && text !== '' && text.length <= MAX_ID_LENGTH ? text : undefined
}

const DECIMAL = /^-?\d{1,15}$/

export const asNumber = (value: unknown): number | undefined => {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined
  return typeof value === 'string' && DECIMAL.test(value) ? Number(value) : undefined
}

const DIGITS = /^\d+$/
const PHONE = /^\+?[\d\s().-]*\d[\d\s().-]*$/

/** The digits of a phone number in any usual notation; undefined for anything else, such as a user id. */
export const asPhone = (value: unknown): string | undefined => {
  const text = asText(value)
  if (text === undefined || text.length > MAX_ID_LENGTH) return undefined
  if (DIGITS.test(text)) return text
  return PHONE.test(text) ? text.replace(/\D/g, '') : undefined
}

/** 9999-12-31T23:59:59Z: the last second a four-digit year can write. */
const LAST_SECOND = 253_402_300_799

/** Seconds since 1970, as text or number, as RFC 3339 in UTC with milliseconds. */
export const asTime = (value: unknown): string | undefined => {
  const seconds = asNumber(value)
  return seconds !== undefined && seconds >= 0 && seconds <= LAST_SECOND
    ? new Date(seconds * 1000).toISOString()
    : undefined
}

export const isEmpty = (object: object): boolean => Object.keys(object).length === 0
