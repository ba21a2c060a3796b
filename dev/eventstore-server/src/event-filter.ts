import type { RecordedEvent } from './recorded-event.ts'

export type EventFilter = { on: 'stream' | 'type' } & ({ regex: string } | { prefixes: readonly string[] })

/** Turns a filter into a question to an event. A regular expression matches anywhere, unless it is anchored. */
export const matcherOf = (filter: EventFilter): ((event: RecordedEvent) => boolean) => {
  const subject = filter.on === 'stream' ? (e: RecordedEvent) => e.stream : (e: RecordedEvent) => e.type
  if ('regex' in filter) {
    const regex = new RegExp(filter.regex)
    return (event) => regex.test(subject(event))
  }
  return (event) => filter.prefixes.some((prefix) => subject(event).startsWith(prefix))
}
