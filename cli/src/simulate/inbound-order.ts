import { misused } from '../options.ts'

/** What decides how a file is shown in a chat. */
const KINDS = ['image', 'video', 'audio', 'sticker', 'document'] as const
export type FileKind = (typeof KINDS)[number]
export const FILE_KINDS: readonly string[] = KINDS

const TYPES: Readonly<Record<string, string>> = {
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  png: 'image/png',
  webp: 'image/webp',
  mp4: 'video/mp4',
  '3gp': 'video/3gpp',
  ogg: 'audio/ogg',
  mp3: 'audio/mpeg',
  m4a: 'audio/mp4',
  amr: 'audio/amr',
  pdf: 'application/pdf',
  txt: 'text/plain',
}

/** The media type that a file's name claims; what is unknown is bytes. */
export const mimeTypeOf = (file: string): string =>
  TYPES[/\.([A-Za-z0-9]+)$/.exec(file)?.[1]?.toLowerCase() ?? ''] ?? 'application/octet-stream'

/** How a phone would send a file of this type. */
export const kindOf = (mimeType: string): FileKind => {
  if (mimeType === 'image/webp') return 'sticker'
  const [main] = mimeType.split('/')
  return main === 'image' || main === 'video' || main === 'audio' ? main : 'document'
}

const WORDS: Readonly<Record<string, unknown>> = { null: null, true: true, false: false }

/**
 * `name=value` settings of faults, times and limits: numbers, `null`, lists with commas where the simulator wants one.
 *
 * @throws GatewayError INVALID_OPTION
 */
export const changesOf = (settings: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(
    settings.map((setting) => {
      const [, name, value] = /^([a-z0-9_]+)=(.+)$/.exec(setting) ?? []
      if (name === undefined || value === undefined)
        throw misused(`${setting}: expected name=value, such as errors_5xx=0.2`)
      if (name === 'affects') return [name, value.split(',')]
      if (Object.hasOwn(WORDS, value)) return [name, WORDS[value]]
      return [name, /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value]
    }),
  )
