import { isSecretProperty, SECRET_PROPERTIES } from '@cloudapi2/tenants'
import { misused } from '../options.ts'

/** `NAME=VALUE`. @throws GatewayError INVALID_OPTION naming the option, never the value */
const split = (option: string, text: string): [name: string, value: string] => {
  const at = text.indexOf('=')
  const name = text.slice(0, at)
  // Also what looks like a value without its name must not be quoted: it may be a secret.
  if (at < 1 || !/^[A-Za-z][A-Za-z0-9_]{0,63}$/.test(name)) throw misused(`${option} expects NAME=VALUE`)
  return [name, text.slice(at + 1)]
}

/** How a secret is given in place of on the command line, where every user of the machine can see it. */
const HOW = (name: string) =>
  `--secret-from ${name}=FILE (- is standard input), or --secret-env ${name}=VARIABLE for one that is in the environment`

/**
 * A property that is no secret. A value that begins with `[` or `{` is JSON, every other one a text as it stands: ids of
 * Meta's are digits that a number would not keep.
 *
 * @throws GatewayError INVALID_OPTION, also for a secret: it would be visible to every user of the machine
 */
export const propertyOf = (text: string): [name: string, value: unknown] => {
  const [name, value] = split('--property', text)
  const known = name.toUpperCase()
  if (isSecretProperty(known))
    throw misused(`${known} is a secret and is not taken from the command line: ${HOW(known)}`)
  if (!/^\s*[[{]/.test(value)) return [name, value]
  try {
    return [name, JSON.parse(value)]
  } catch {
    throw misused(`--property ${name}: begins like JSON, and is none`)
  }
}

/** Where a secret is to be read: `NAME=FILE` or `NAME=VARIABLE`. @throws GatewayError INVALID_OPTION */
export const secretSourceOf = (option: string, text: string): [name: string, source: string] => {
  const [name, source] = split(option, text)
  if (!isSecretProperty(name)) throw misused(`${option}: expected one of ${SECRET_PROPERTIES.join(', ')}`)
  if (source === '') throw misused(`${option} ${name}: says nowhere to read it from`)
  return [name, source]
}

/** A secret as it was read: the end of its last line belongs to the file. @throws GatewayError INVALID_OPTION */
export const secretText = (name: string, where: string, text: string): string => {
  const secret = text.replace(/\r?\n$/, '')
  if (secret === '') throw misused(`${name}: ${where} is empty`)
  if (/[\r\n]/.test(secret)) throw misused(`${name}: ${where} has more than one line`)
  return secret
}

/** Secrets by property; one that is given twice (an app secret while it is changed) is a list. */
export const secretsByName = (
  secrets: readonly (readonly [name: string, secret: string])[],
): Record<string, unknown> => {
  const byName: Record<string, string | string[]> = {}
  for (const [name, secret] of secrets) {
    const before = byName[name]
    byName[name] = before === undefined ? secret : [before, secret].flat()
  }
  return byName
}

/** What is asked to be set, of a file and of options; options win. @throws GatewayError INVALID_OPTION */
export const changeOf = ({
  file,
  name,
  properties,
  unset,
  secrets,
}: {
  /** As `get -o json` prints it, or only a part of that. */
  file: unknown
  name: string | undefined
  properties: readonly (readonly [string, unknown])[]
  unset: readonly string[]
  secrets: Record<string, unknown>
}): { name?: string; custom_properties: Record<string, unknown> } => {
  const given = fileChange(file)
  const twice = unset.find((one) => properties.some(([property]) => property === one) || Object.hasOwn(secrets, one))
  if (twice !== undefined) throw misused(`${twice} is both set and unset`)
  const change = {
    ...(name === undefined ? (given.name === undefined ? {} : { name: given.name }) : { name }),
    custom_properties: {
      ...given.custom_properties,
      ...Object.fromEntries(properties),
      ...Object.fromEntries(unset.map((one) => [one, null])),
      ...secrets,
    },
  }
  if (change.name === undefined && Object.keys(change.custom_properties).length === 0)
    throw misused('nothing to set: give --name, --property, --unset, --secret-from, --secret-env or --file')
  return change
}

const fileChange = (file: unknown): { name?: string; custom_properties?: Record<string, unknown> } => {
  if (file === undefined) return {}
  // `get -o json` prints a list of one.
  const one = Array.isArray(file) && file.length === 1 ? (file[0] as unknown) : file
  if (one === null || typeof one !== 'object' || Array.isArray(one))
    throw misused('--file: expected a JSON object with name, custom_properties or both')
  const { name, custom_properties } = one as Record<string, unknown>
  if (name !== undefined && typeof name !== 'string') throw misused('--file: name: expected a text')
  if (
    custom_properties !== undefined &&
    (custom_properties === null || typeof custom_properties !== 'object' || Array.isArray(custom_properties))
  )
    throw misused('--file: custom_properties: expected an object')
  return {
    ...(name === undefined ? {} : { name }),
    ...(custom_properties === undefined ? {} : { custom_properties: custom_properties as Record<string, unknown> }),
  }
}
