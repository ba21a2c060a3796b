import { expect, test } from 'vitest'
import { COMPANY, OTHER } from '../archiver.rig.ts'
import type { LogEvent } from '../log-event.ts'
import { companyRuns, missingOf } from './company-runs.ts'

const event = (position: number, companyId: string, channel = 'whatsapp', bytes = 10): LogEvent => ({
  companyId,
  channel,
  type: 'message.created',
  position,
  body: Buffer.alloc(bytes),
  storedAtMs: 0,
})
const shape = (events: LogEvent[]) =>
  companyRuns(events).map(({ companyId, runs }) => [
    companyId,
    ...runs.map(({ stream, entries }) => `${stream}: ${entries.map(({ position }) => position).join(' ')}`),
  ])

test('nothing makes no runs', () => expect(companyRuns([])).toEqual([]))

test('events of one stream are one run, whatever of other companies lies between', () => {
  expect(shape([event(1, COMPANY), event(2, OTHER), event(3, COMPANY)])).toEqual([
    [COMPANY, `whatsapp-${COMPANY}: 1 3`],
    [OTHER, `whatsapp-${OTHER}: 2`],
  ])
})

test("a company's events keep their order over its streams", () => {
  expect(shape([event(1, COMPANY), event(2, COMPANY, 'system'), event(3, COMPANY), event(4, COMPANY)])).toEqual([
    [COMPANY, `whatsapp-${COMPANY}: 1`, `system-${COMPANY}: 2`, `whatsapp-${COMPANY}: 3 4`],
  ])
})

test('no run is larger than the archive takes in one append, unless it is a single event', () => {
  const large = Array.from({ length: 6 }, (_, i) => event(i + 1, COMPANY, 'whatsapp', i === 3 ? 2_000_000 : 400_000))
  expect(shape(large)).toEqual([
    [COMPANY, ...['1 2', '3', '4', '5 6'].map((positions) => `whatsapp-${COMPANY}: ${positions}`)],
  ])
})

test('what is there already is left out, by position', () => {
  const run = { stream: 's', entries: [event(2, COMPANY), event(5, COMPANY), event(9, COMPANY)] }
  const positions = (after: number) => missingOf(run, after).map(({ position }) => position)
  expect(positions(0)).toEqual([2, 5, 9])
  expect(positions(5)).toEqual([9])
  expect(positions(6)).toEqual([9])
  expect(positions(9)).toEqual([])
})
