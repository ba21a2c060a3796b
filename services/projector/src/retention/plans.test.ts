import { describe, expect, test } from 'vitest'
import { pauseAfter } from './pace.ts'
import { planSweeps } from './retention-plan.ts'
import { type TrimFacts, trimPlan } from './trim-plan.ts'

const NOW = Date.parse('2026-11-24T14:37:00.000Z')
const A = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
const B = 'b1f0a0de-0000-4000-8000-00000000000b'

describe('which companies are swept', () => {
  test('is those with days, up to a full hour', () =>
    expect(planSweeps([{ companyId: A, retentionDays: 14 }, { companyId: B }], new Map(), NOW)).toEqual([
      { companyId: A, before: '2026-11-10T14:00:00.000Z', retentionDays: 14 },
    ]))
  test('goes no way back when the days grow: what is gone stays gone', () =>
    expect(planSweeps([{ companyId: A, retentionDays: 365 }], new Map([[A, '2026-11-10T14:00:00.000Z']]), NOW)).toEqual(
      [{ companyId: A, before: '2026-11-10T14:00:00.000Z', retentionDays: 365 }],
    ))
  test('goes on when the days shrink', () =>
    expect(
      planSweeps([{ companyId: A, retentionDays: 1 }], new Map([[A, '2026-11-10T14:00:00.000Z']]), NOW)[0]?.before,
    ).toBe('2026-11-23T14:00:00.000Z'))
  test('is also those that have no days any more, up to where the log says they were swept', () =>
    expect(planSweeps([], new Map([[B, '2026-11-10T14:00:00.000Z']]), NOW)).toEqual([
      { companyId: B, before: '2026-11-10T14:00:00.000Z', retentionDays: undefined },
    ]))
})

describe('the pause after a batch', () => {
  test('is four times as long as the batch was', () => expect(pauseAfter(25)).toBe(100))
  test('is never nothing, and ends', () => expect([pauseAfter(0), pauseAfter(60_000)]).toEqual([5, 10_000]))
})

describe('the log is trimmed', () => {
  const facts: TrimFacts = {
    age: { maxAgeMs: 1_000, withoutArchive: false },
    firstYoung: 100,
    archive: { position: 500, enabled: true, caught_up: true, anchored: 500 },
    readers: [undefined, 700],
  }
  test('by age', () => expect(trimPlan(facts)).toEqual({ before: 100 }))
  test('never beyond the archive', () =>
    expect(trimPlan({ ...facts, archive: { position: 40, enabled: true, caught_up: false, anchored: 500 } })).toEqual({
      before: 41,
    }))
  test('never beyond what the anchors of all companies tell of, archived or not', () => {
    const archive = { position: 500, enabled: true, caught_up: true, anchored: 20 }
    expect(trimPlan({ ...facts, archive })).toEqual({ before: 21 })
    const age = { maxAgeMs: 1_000, withoutArchive: true }
    expect(trimPlan({ ...facts, age, archive: { ...archive, enabled: false } })).toEqual({ before: 21 })
  })
  test('never beyond what a reader has handled', () =>
    expect(trimPlan({ ...facts, readers: [undefined, 30] })).toEqual({ before: 31 }))
  test('not while the archiver does not answer', () =>
    expect(trimPlan({ ...facts, archive: undefined })).toEqual({ blocked: 'archive_unknown' }))
  test('not when nothing is archived', () =>
    expect(trimPlan({ ...facts, archive: { position: 0, enabled: false, caught_up: false, anchored: 500 } })).toEqual({
      blocked: 'not_archived_at_all',
    }))
  test('by age alone where an operator said so, and there is no archive', () => {
    const age = { maxAgeMs: 1_000, withoutArchive: true }
    expect(trimPlan({ ...facts, age, archive: undefined })).toEqual({ before: 100 })
    expect(
      trimPlan({ ...facts, age, archive: { position: 40, enabled: true, caught_up: false, anchored: 500 } }),
    ).toEqual({
      before: 41,
    })
  })
})
