import { readFile } from 'node:fs/promises'
import { misused } from './options.ts'

/** A file that was named on the command line. @throws GatewayError INVALID_OPTION when it cannot be read */
export const readGiven = (file: string): Promise<Buffer> =>
  readFile(file).catch((cause: NodeJS.ErrnoException) => {
    throw misused(`${file} cannot be read (${cause.code})`)
  })
