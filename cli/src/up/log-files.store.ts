import { createWriteStream, existsSync, mkdirSync, renameSync, statSync, type WriteStream } from 'node:fs'
import { join } from 'node:path'

/** A log file that grew beyond this becomes `<name>.1.log`, in place of the one before. */
const MAX_BYTES = 32 * 1024 * 1024

export interface LogFiles {
  dir: string
  /** Adds one line to the file of that name. */
  write: (name: string, line: string) => void
  close: () => Promise<void>
}

/** One log file per child below `<data folder>/logs`, at most twice `MAX_BYTES` each. */
export const openLogFiles = (dataDir: string, onError: (error: Error) => void): LogFiles => {
  const dir = join(dataDir, 'logs')
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const files = new Map<string, { stream: WriteStream; bytes: number }>()

  const open = (name: string) => {
    const path = join(dir, `${name}.log`)
    const bytes = existsSync(path) ? statSync(path).size : 0
    const stream = createWriteStream(path, { flags: 'a', mode: 0o600 })
    // A full disk must not end what is being logged about.
    stream.on('error', onError)
    const file = { stream, bytes }
    files.set(name, file)
    return file
  }

  return {
    dir,
    write: (name, line) => {
      let file = files.get(name) ?? open(name)
      if (file.bytes > MAX_BYTES) {
        file.stream.end()
        renameSync(join(dir, `${name}.log`), join(dir, `${name}.1.log`))
        file = open(name)
      }
      file.stream.write(`${line}\n`)
      file.bytes += line.length + 1
    },
    close: async () => {
      await Promise.all([...files.values()].map(({ stream }) => new Promise((resolve) => stream.end(resolve))))
    },
  }
}
