import { readFileSync } from 'node:fs'

/** This software and its version, as an export names what wrote it. */
export const softwareName = (): string => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  return `cloudapi2 ${version}`
}
