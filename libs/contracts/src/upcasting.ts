import { EVENT_VERSION, type EventType } from './events.ts'
import { GatewayError } from './gateway-error.ts'

type Data = Record<string, unknown>

/**
 * Each turns the data of one version of a type into that of the next. Stored events are never rewritten; this is how an
 * old one is read. Key: `<type>/<version it starts from>`.
 */
export type Upcasters = Readonly<Record<string, (data: Data) => Data>>

/** None yet: every type is at version 1. The first change of a shape adds its step here, and a test with a stored example. */
export const upcasters: Upcasters = {}

/** An event of a version that this software cannot read: newer than it, or with a step missing. */
export class UnknownEventVersion extends GatewayError {
  constructor(type: string, version: number, current: number) {
    super(
      version > current
        ? `${type} version ${version} is newer than this software, which reads up to ${current}: upgrade it`
        : `no step from ${type} version ${version} towards ${current}`,
      { code: 'UNKNOWN_EVENT_VERSION', retryable: false },
    )
  }
}

/** Brings data from the version it was stored with to the current one. @throws UnknownEventVersion */
export const upcast = (
  type: EventType,
  version: number,
  data: Data,
  steps: Upcasters,
  current: number = EVENT_VERSION[type],
): Data => {
  if (version > current) throw new UnknownEventVersion(type, version, current)
  let result = data
  for (let at = version; at < current; at++) {
    const step = steps[`${type}/${at}`]
    if (step === undefined) throw new UnknownEventVersion(type, at, current)
    result = step(result)
  }
  return result
}
