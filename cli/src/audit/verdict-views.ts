import { basename } from 'node:path'
import type { Verdict } from '@cloudapi2/audit'

/** A verdict for scripts. */
export const verdictValue = (file: string, { whole, faults, header, head, anchors, against }: Verdict) => ({
  file,
  whole,
  faults,
  ...(header === undefined
    ? {}
    : { company_id: header.company_id, source: header.source, range: header.range, start: header.start }),
  ...(head === undefined
    ? {}
    : {
        events: head.events,
        first_position: head.first_position,
        last_position: head.last_position,
        chain_events: head.chain_events,
        head: head.head,
        exported_at: head.exported_at,
        key: head.key,
      }),
  anchors,
  ...(against === undefined ? {} : { against }),
})

/** A verdict for people: one line that says it, then what it is about. */
export const verdictText = (file: string, { whole, faults, header, head, anchors, against }: Verdict): string => {
  const name = basename(file)
  if (!whole) return [`${name} is NOT whole`, ...faults.map(({ message }) => `  ${message}`)].join('\n')
  return [
    `${name} is whole: ${head?.events} events of company ${header?.company_id}, positions ${head?.first_position} to ${head?.last_position}`,
    `  signed ${head?.exported_at} with the key ${head?.key}`,
    `  head   ${head?.head} after ${head?.chain_events} events of the company`,
    ...(header?.start === 'anchor'
      ? [
          `  its chain begins at a recorded head, after ${header.before.events} events: what was before is not proved by it`,
        ]
      : []),
    `  recorded heads in it: ${anchors.agreed} agree${anchors.not_covered === 0 ? '' : `, ${anchors.not_covered} are about what is not in it`}`,
    ...(against === undefined ? [] : [`  heads of the earlier record: ${against.agreed} agree`]),
  ].join('\n')
}
