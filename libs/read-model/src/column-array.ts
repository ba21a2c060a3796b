/**
 * Columns as array literals of PostgreSQL (https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO), the form in
 * which `unnest` takes many rows in few parameters. The driver can write them too, at three times the cost per element.
 */
type Plain = string | number | boolean | null | undefined

/** Of values that hold neither quotes, backslashes, commas, braces nor spaces: uuids, numbers, booleans, canonical times. */
export const plainArray = (values: readonly Plain[]): string => {
  let literal = '{'
  for (let i = 0; i < values.length; i++) literal += `${i === 0 ? '' : ','}${values[i] ?? 'NULL'}`
  return `${literal}}`
}

const SPECIAL = /["\\]/
const ALL_SPECIAL = /["\\]/g

/** Of any text. */
export const textArray = (values: readonly (string | null | undefined)[]): string => {
  let literal = '{'
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    if (i > 0) literal += ','
    if (value === null || value === undefined) literal += 'NULL'
    else literal += `"${SPECIAL.test(value) ? value.replace(ALL_SPECIAL, '\\$&') : value}"`
  }
  return `${literal}}`
}
