import { GatewayError } from '@cloudapi2/contracts'
import {
  type DeadLetter,
  type DeadLetterFilter,
  DeadLetterNotRedrivable,
  type DeadLetters,
  DeadLetterUncertain,
  letterSummary,
  letterWhole,
  openDeadLetters,
  type Publisher,
  redriveDeadLetter,
} from '@cloudapi2/nats'
import { Command } from 'commander'
import { withNats } from '../context.store.ts'
import { companyOf, countOf, misused, type OutputFormat, outputOption, serviceOf, timeOf } from '../options.ts'
import { Ended, EXIT } from '../output/exit-codes.ts'
import { table } from '../output/table.ts'
import type { Terminal } from '../output/terminal.client.ts'
import { DONE_COLUMNS, type Done, LIST_COLUMNS, letterText } from './letter-views.ts'

export interface DlqDeps {
  env: NodeJS.ProcessEnv
  terminal: Terminal
  now: () => number
}

/** More than this many at once are asked about first. */
const MANY = 10
const MOST_LISTED = 1_000_000
const PAGE = 200

interface FilterOptions {
  service?: string
  company?: string
  code?: string
  command?: string
  since?: Date
  until?: Date
}

interface Acting {
  letters: DeadLetters
  publisher: Publisher
}

/** `cloudapi dlq list | show | redrive | discard`: what the services gave up. */
export const dlqCommand = ({ env, terminal, now }: DlqDeps): Command => {
  const acting = <T>(task: (acting: Acting) => Promise<T>): Promise<T> =>
    withNats(env, ({ nats, publisher }) => task({ letters: openDeadLetters(nats), publisher }))
  const time = timeOf(now)
  const withFilter = (command: Command): Command =>
    command
      .option('--service <name>', 'given up by this service, such as sender or projector', serviceOf)
      .option('--company <id>', 'of this company; _ for those of none', companyOf)
      .option('--code <code>', 'given up for this reason, such as 131047 or SEND_UNCERTAIN')
      .option('--command <id>', 'of the command with this id')
      .option('--since <time>', 'given up at this time or later: RFC 3339, or how long ago, such as 2h', time)
      .option('--until <time>', 'given up before this time', time)

  const dlq = new Command('dlq').description(
    'dead letters: commands and events that a service stopped trying, kept whole for 90 days',
  )

  withFilter(dlq.command('list'))
    .description('list them, without their content')
    .option('--limit <n>', 'at most this many', countOf(MOST_LISTED), 50)
    .option('--newest', 'the newest first, in place of the oldest', false)
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  $ cloudapi dlq list --newest --limit 20
  $ cloudapi dlq list --company a9242a58-4f5d-494c-8a74-45f8cee150e6 --code SEND_UNCERTAIN --since 2h
  $ cloudapi dlq list -o ndjson --limit 1000000 | jq -r .code | sort | uniq -c`,
    )
    .action(async (options: FilterOptions & { limit: number; newest: boolean; output: OutputFormat }) => {
      const { limit, newest, output } = options
      const query = { ...filterOf(options), order: newest ? ('newest' as const) : ('oldest' as const) }
      await acting(async ({ letters }) => {
        const found: DeadLetter[] = []
        let count = 0
        let cursor: number | undefined
        do {
          const page = await letters.page({ ...query, cursor, limit: Math.min(PAGE, limit - count) })
          count += page.letters.length
          cursor = page.next
          // A line each needs no memory, however many they are.
          if (output === 'ndjson') terminal.printValues('ndjson', page.letters.map(letterSummary))
          else found.push(...page.letters.map(withoutContent))
        } while (cursor !== undefined && count < limit)
        if (output === 'json') terminal.printValues('json', found.map(letterSummary))
        if (output === 'table') {
          if (count === 0) terminal.note('no dead letters')
          else terminal.print(table(LIST_COLUMNS, found, { width: terminal.width, emphasis: terminal.bold }))
          if (cursor !== undefined)
            terminal.note(`there may be more: raise --limit (${limit}), or narrow what you ask for`)
        }
      })
    })

  dlq
    .command('show')
    .description('show one whole, with the text and the phone numbers in it')
    .argument('<id>', 'as in the list', idOf)
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  $ cloudapi dlq show 4711
  $ cloudapi dlq show 4711 -o json | jq '.[0].body.message'`,
    )
    .action(async (id: number, { output }: { output: OutputFormat }) => {
      await acting(async ({ letters }) => {
        const letter = await letters.get(id)
        if (letter === undefined) throw notFound(id)
        if (output === 'table') terminal.print(letterText(letter))
        else terminal.printValues(output, [letterWhole(letter)])
      })
    })

  withFilter(dlq.command('redrive'))
    .description('try commands again: each begins a new round of attempts, under its own id')
    .argument('[id...]', 'as in the list', idsOf)
    .option('--all', 'all of the sender that the filters leave, of those there are now', false)
    .option('--force', 'also those that may have been delivered (SEND_UNCERTAIN); they may be sent twice', false)
    .option('--yes', `do not ask, even for more than ${MANY}`, false)
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  $ cloudapi dlq redrive 4711 4712
  $ cloudapi dlq redrive --all --company a9242a58-4f5d-494c-8a74-45f8cee150e6 --code NO_ACCESS_TOKEN
  $ cloudapi dlq redrive 4713 --force

Events are not redriven: they are still in the log. Exit code 1: some were refused, the output says why.`,
    )
    .action(
      async (
        ids: number[],
        options: FilterOptions & { all: boolean; force: boolean; yes: boolean; output: OutputFormat },
      ) => {
        const filter = filterOf(options)
        if (options.all === ids.length > 0)
          throw misused('give the ids of dead letters, or --all with the filters you want')
        if (!options.all && Object.values(filter).some((value) => value !== undefined))
          throw misused('filters go with --all, not with ids')
        await acting(async ({ letters, publisher }) => {
          const redrive = async (letter: DeadLetter): Promise<Done> => {
            try {
              const redriving = { force: options.force, now: now() }
              const { commandId } = await redriveDeadLetter({ letters, publisher }, letter, redriving)
              return { id: letter.id, outcome: 'redriven', command_id: commandId }
            } catch (error) {
              return refusalOf(letter.id, error, letter.command_id)
            }
          }
          const what = options.all ? allOf(letters, { service: 'sender', ...filter }) : byId(letters, ids)
          const count = options.all ? await countAll(what) : ids.length
          if (count > MANY && !options.yes && !(await terminal.confirm(`Redrive ${count} dead letters?`)))
            throw nothingDone()
          await report(what, redrive, options.output)
        })
      },
    )

  dlq
    .command('discard')
    .description('remove them for good')
    .argument('<id...>', 'as in the list', idsOf)
    .option('--yes', 'do not ask', false)
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  $ cloudapi dlq discard 4711
  $ cloudapi dlq discard 4711 4712 --yes -o json`,
    )
    .action(async (ids: number[], { yes, output }: { yes: boolean; output: OutputFormat }) => {
      const which = ids.length === 1 ? `dead letter ${ids[0]}` : `${ids.length} dead letters`
      if (!yes && !(await terminal.confirm(`Discard ${which} for good?`))) throw nothingDone()
      await acting(async ({ letters }) => {
        const discard = async ({ id, command_id }: DeadLetter): Promise<Done> =>
          (await letters.remove(id))
            ? { id, outcome: 'discarded', ...(command_id === undefined ? {} : { command_id }) }
            : { id, outcome: 'not_found' }
        await report(byId(letters, ids), discard, output)
      })
    })

  /** Does it to each in turn, tells of each, and ends with the exit code that all of it deserves. */
  const report = async (
    what: Source,
    act: (letter: DeadLetter) => Promise<Done>,
    output: OutputFormat,
  ): Promise<void> => {
    const all: Done[] = []
    const counts = new Map<Done['outcome'], number>()
    const tell = (done: Done) => {
      counts.set(done.outcome, (counts.get(done.outcome) ?? 0) + 1)
      if (output === 'ndjson') terminal.printValues('ndjson', [done])
      else all.push(done)
    }
    try {
      for await (const { id, letter } of what())
        tell(letter === undefined ? { id, outcome: 'not_found' } : await act(letter))
    } finally {
      // Also what was done before NATS went away.
      if (output === 'json') terminal.printValues('json', all)
      if (output === 'table' && all.length > 0)
        terminal.print(table(DONE_COLUMNS, all, { width: terminal.width, emphasis: terminal.bold }))
      if (output === 'table') terminal.note(summary(counts))
    }
    const missing = counts.get('not_found') ?? 0
    const total = [...counts.values()].reduce((sum, n) => sum + n, 0)
    if (missing > 0 && missing === total) throw new Ended(EXIT.notFound)
    if (missing > 0 || counts.has('refused')) throw new Ended(EXIT.failed)
  }

  return dlq
}

/** Letters one after the other; `undefined`: there is none of this id. */
type Source = () => AsyncIterable<{ id: number; letter: DeadLetter | undefined }>

const byId = (letters: DeadLetters, ids: readonly number[]): Source =>
  async function* () {
    for (const id of new Set(ids)) yield { id, letter: await letters.get(id) }
  }

/** Those that are there when it begins: one that fails again meanwhile is a new one, and waits for the next time. */
const allOf = (letters: DeadLetters, filter: DeadLetterFilter): Source => {
  let last: number | undefined
  return async function* () {
    last ??= (await letters.page({ order: 'newest', limit: 1 })).letters[0]?.id ?? 0
    let cursor: number | undefined
    do {
      const page = await letters.page({ ...filter, cursor, limit: PAGE })
      for (const letter of page.letters) {
        if (letter.id > last) return
        yield { id: letter.id, letter }
      }
      cursor = page.next
    } while (cursor !== undefined && cursor <= last)
  }
}

const countAll = async (what: Source): Promise<number> => {
  let count = 0
  for await (const _ of what()) count++
  return count
}

const filterOf = (options: FilterOptions): DeadLetterFilter => ({
  ...(options.service === undefined ? {} : { service: options.service }),
  companyId: options.company,
  code: options.code,
  commandId: options.command,
  since: options.since,
  until: options.until,
})

/** What a list does not show need not be kept until it is printed. */
const withoutContent = (letter: DeadLetter): DeadLetter => ({ ...letter, headers: {}, body: new Uint8Array() })

const refusalOf = (id: number, error: unknown, commandId: string | undefined): Done => {
  if (!(error instanceof DeadLetterNotRedrivable || error instanceof DeadLetterUncertain)) throw error
  const { code, message } = error
  return { id, outcome: 'refused', ...(commandId === undefined ? {} : { command_id: commandId }), code, message }
}

const summary = (counts: ReadonlyMap<Done['outcome'], number>): string =>
  counts.size === 0
    ? 'no dead letters'
    : [...counts].map(([outcome, count]) => `${count} ${outcome.replace('_', ' ')}`).join(', ')

const idOf = countOf(Number.MAX_SAFE_INTEGER)
const idsOf = (text: string, before: number[] | undefined): number[] => [...(before ?? []), idOf(text)]

const notFound = (id: number) =>
  new GatewayError(`there is no dead letter ${id}: see "cloudapi dlq list"`, {
    code: 'DEAD_LETTER_NOT_FOUND',
    retryable: false,
  })
const nothingDone = () => new Ended(EXIT.failed)
