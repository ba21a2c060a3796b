/** PostgreSQL's text and jsonb refuse U+0000; normalised fields carry U+FFFD in its place, `raw` keeps the original. */
export const withoutNul = (text: string): string =>
  text.includes('\u0000') ? text.replaceAll('\u0000', '\ufffd') : text
