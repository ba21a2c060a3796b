import { closeSync, fstatSync, fsyncSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Commit } from './recorded-event.ts'

/** Keeps commits; what was kept survives the end of the process, by SIGKILL too. */
export interface Journal {
  /** Keeps all of them or, when it throws, none. */
  write: (commits: readonly Commit[]) => void
  close: () => void
}

export const noJournal: Journal = { write: () => {}, close: () => {} }

/**
 * Opens a file of commits, one line of JSON for what belongs together, and gives what it holds to `replay`. A line cut off
 * in the middle, as a killed process leaves it, was never answered for and is taken off.
 */
export const openJournal = (path: string, replay: (commit: Commit) => void): Journal => {
  mkdirSync(dirname(path), { recursive: true })
  const file = openSync(path, 'a+')
  const bytes = readFileSync(file)
  const end = bytes.lastIndexOf(0x0a) + 1
  for (let start = 0; start < end; ) {
    const next = bytes.indexOf(0x0a, start) + 1
    for (const commit of decode(bytes.toString('utf8', start, next - 1))) replay(commit)
    start = next
  }
  if (end < bytes.length) ftruncateSync(file, end)

  return {
    write: (commits) => {
      const line = Buffer.from(`${encode(commits)}\n`)
      const length = fstatSync(file).size
      try {
        for (let written = 0; written < line.length; ) written += writeSync(file, line, written)
      } catch (error) {
        ftruncateSync(file, length) // else the next line would be glued to half of this one
        throw error
      }
    },
    close: () => {
      fsyncSync(file)
      closeSync(file)
    },
  }
}

const encode = (commits: readonly Commit[]): string =>
  JSON.stringify(
    commits.map(({ events, ...commit }) => ({
      ...commit,
      events: events.map(({ data, metadata, ...event }) => ({
        ...event,
        data: Buffer.from(data).toString('base64'),
        metadata: Buffer.from(metadata).toString('base64'),
      })),
    })),
  )

interface EncodedEvent extends Omit<Commit['events'][number], 'data' | 'metadata'> {
  data: string
  metadata: string
}

const decode = (line: string): Commit[] =>
  (JSON.parse(line) as (Omit<Commit, 'events'> & { events: EncodedEvent[] })[]).map(({ events, ...commit }) => ({
    ...commit,
    events: events.map(({ data, metadata, ...event }) => ({
      ...event,
      data: Buffer.from(data, 'base64'),
      metadata: Buffer.from(metadata, 'base64'),
    })),
  }))
