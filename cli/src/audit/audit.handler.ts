import type { KeyObject } from 'node:crypto'
import {
  compareHeads,
  fingerprintOf,
  headsOfAnchors,
  headsOfExport,
  newKeyPair,
  publicKeyOf,
  publicPemOf,
  readPrivateKey,
  readPublicKey,
  type Verdict,
  verdictOf,
  verifyExport,
} from '@cloudapi2/audit'
import { Command, InvalidArgumentError } from 'commander'
import { withLog } from '../event-log.client.ts'
import {
  checkRange,
  companyOf,
  type LogSource,
  misused,
  type OutputFormat,
  outputOption,
  sourceOption,
  timeOf,
} from '../options.ts'
import { Ended, EXIT } from '../output/exit-codes.ts'
import { type Column, record, table } from '../output/table.ts'
import type { Terminal } from '../output/terminal.client.ts'
import {
  checkIsNew,
  checkIsReadable,
  exists,
  fileSource,
  isOpenToOthers,
  keyBeside,
  readText,
  writeExport,
  writeKeyPair,
} from './audit-files.store.ts'
import { exportLines } from './export-lines.ts'
import { type Anchor, anchorsOf, planExport } from './export-plan.ts'
import { softwareName } from './software.store.ts'
import { verdictText, verdictValue } from './verdict-views.ts'

export interface AuditDeps {
  env: NodeJS.ProcessEnv
  terminal: Terminal
  now: () => number
  /** Aborts when the command is to end. */
  ended: () => AbortSignal
}

interface ExportOptions {
  company: string
  from?: Date
  to?: Date
  key: string
  source: LogSource
  force: boolean
  output: OutputFormat
}

interface VerifyOptions {
  publicKey?: string
  fingerprint?: string
  against?: string
  againstPublicKey?: string
  output: OutputFormat
}

/** `cloudapi audit keygen | export | verify | anchors`: proves that nothing was changed. */
export const auditCommand = ({ env, terminal, now, ended }: AuditDeps): Command => {
  const time = timeOf(now)
  const show = (output: OutputFormat, value: Readonly<Record<string, string | number>>): void =>
    output === 'table' ? terminal.print(record(value)) : terminal.printValues(output, [value])

  const audit = new Command('audit').description('export what happened, so that anybody can prove it was not changed')

  audit
    .command('keygen')
    .description('make the pair of keys that exports are signed with (Ed25519)')
    .option('--out <file>', 'the private key; the public one lies beside it', 'audit-key.pem')
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  $ cloudapi audit keygen
  $ cloudapi audit keygen --out /etc/cloudapi/audit-2026.pem

Note the fingerprint where nobody who can change exports can change it, and give it to whoever verifies.`,
    )
    .action(async ({ out, output }: { out: string; output: OutputFormat }) => {
      const { privatePem, publicPem, fingerprint } = newKeyPair()
      const publicFile = await writeKeyPair(out, { privatePem, publicPem })
      show(output, { private_key: out, public_key: publicFile, fingerprint })
    })

  audit
    .command('export')
    .description('write what happened to a file, chained and signed')
    .argument('<file>', 'the export; the public key lies beside it as <file>.pub.pem')
    .requiredOption('--company <id>', 'of this company; _ for what belongs to none', companyOf)
    .option('--from <time>', 'recorded at this time or later: RFC 3339, or how long ago, such as 2h', time)
    .option('--to <time>', 'recorded before this time', time)
    .requiredOption('--key <file>', 'the private key, as "cloudapi audit keygen" made it')
    .addOption(sourceOption())
    .option('--force', 'replace a file that is there', false)
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  $ cloudapi audit export --company a9242a58-4f5d-494c-8a74-45f8cee150e6 --key audit-key.pem all.ndjson
  $ cloudapi audit export --company a9242a58-4f5d-494c-8a74-45f8cee150e6 --from 2026-11-01 --to 2026-12-01 \\
      --key audit-key.pem november.ndjson

The export has every event from the first that was recorded in this time to the last. It holds texts and phone numbers.
Exit code 1: written, but heads that the log recorded of itself do not agree with its events. 3: no such events.`,
    )
    .action(async (file: string, options: ExportOptions) => {
      const { company, from, to, key, force, output } = options
      checkRange(from, to)
      const privateKey = readPrivateKey(await readText(key), key)
      if (await isOpenToOthers(key)) terminal.note(`${key} can be read by others than you: chmod 600 it`)
      await checkIsNew(file, force)
      const publicKey = publicKeyOf(privateKey)
      const range = { companyId: company, ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }
      const signal = ended()
      const exported = await withLog(env, options.source, async (log) => {
        const plan = await planExport(log, range, signal)
        const software = softwareName()
        const lines = exportLines({ log, range, plan, privateKey, software, now, signal })
        return writeExport(file, force, lines, publicPemOf(publicKey))
      })
      show(output, {
        file,
        public_key: keyBeside(file),
        events: exported.events,
        first_position: exported.first,
        last_position: exported.chain.position,
        head: exported.chain.head,
        fingerprint: fingerprintOf(publicKey),
      })
      if (exported.contradicted === undefined) return
      terminal.note(
        `the log recorded another head for position ${exported.contradicted} than its events have now: its past was rewritten`,
      )
      throw new Ended(EXIT.failed)
    })

  audit
    .command('anchors')
    .description('the heads of the chain that the log recorded, hour by hour; keep them where nobody can change them')
    .requiredOption('--company <id>', 'of this company; _ for what belongs to none', companyOf)
    .addOption(sourceOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  $ cloudapi audit anchors --company a9242a58-4f5d-494c-8a74-45f8cee150e6
  $ cloudapi audit anchors --company a9242a58-4f5d-494c-8a74-45f8cee150e6 -o ndjson > anchors.ndjson
  $ cloudapi audit verify november.ndjson --against anchors.ndjson`,
    )
    .action(async ({ company, source, output }: { company: string; source: LogSource; output: OutputFormat }) => {
      const anchors = await withLog(env, source, (log) => anchorsOf(log, company, ended()))
      if (output !== 'table') terminal.printValues(output, anchors.map(anchorValue(company)))
      else if (anchors.length === 0) terminal.note('no head was recorded for this company')
      else terminal.print(table(ANCHOR_COLUMNS, anchors, { width: terminal.width, emphasis: terminal.bold }))
    })

  audit
    .command('verify')
    .description('prove, without any server, that an export is as it was made')
    .argument('<file>', 'the export')
    .option('--public-key <file>', 'the key that must have signed it; left out: <file>.pub.pem')
    .option('--fingerprint <hex>', 'what the fingerprint of that key must be', fingerprint)
    .option('--against <file>', 'an earlier export of the company, or its anchors: what both have must be the same')
    .option(
      '--against-public-key <file>',
      'the key of the earlier export; left out: the one beside it, else --public-key',
    )
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  $ cloudapi audit verify november.ndjson
  $ cloudapi audit verify november.ndjson --fingerprint 3f1c…
  $ cloudapi audit verify november.ndjson --public-key audit-key.pub.pem --against october.ndjson
  $ cloudapi audit verify november.ndjson -o json | jq '.[0].faults'

Exit code 0: whole. 1: not; the first line that is not as it was is named. 2: it could not be tried.`,
    )
    .action(async (file: string, options: VerifyOptions) => {
      await checkIsReadable(file)
      const publicKey = await keyOf(file, options.publicKey)
      const pinned = options.fingerprint === undefined ? {} : { fingerprint: options.fingerprint }
      const own = await verifyExport(fileSource(file), { publicKey, ...pinned })
      const verdict = options.against === undefined ? own : await held(file, own, options, options.against)
      if (options.output === 'table') terminal.print(verdictText(file, verdict))
      else terminal.printValues(options.output, [verdictValue(file, verdict)])
      if (!verdict.whole) throw new Ended(EXIT.failed)
      if (options.publicKey === undefined && options.fingerprint === undefined)
        terminal.note(
          'the key is the one beside the export, which whoever replaces the export can replace too: compare its fingerprint, or give --fingerprint',
        )
    })

  return audit
}

/** The verdict, held against an earlier record. What is not whole in itself is not compared. */
const held = async (file: string, own: Verdict, options: VerifyOptions, earlier: string): Promise<Verdict> => {
  const companyId = own.header?.company_id
  if (!own.whole || companyId === undefined) return own
  const later = headsOfExport(fileSource(file))
  if (!(await isExport(earlier))) {
    const { agreed, fault } = await compareHeads(later, headsOfAnchors(await readText(earlier), companyId), false)
    return verdictOf({ ...own, against: { agreed }, faults: fault === undefined ? [] : [fault] })
  }
  const beside = (await exists(keyBeside(earlier))) ? undefined : options.publicKey
  const publicKey = await keyOf(earlier, options.againstPublicKey ?? beside)
  const theirs = await verifyExport(fileSource(earlier), { publicKey })
  const first = theirs.faults[0]
  if (first !== undefined) throw misused(`${earlier} cannot be compared with, it is not whole itself: ${first.message}`)
  if (theirs.header?.company_id !== companyId)
    throw misused(`${earlier} cannot be compared with: it is of company ${theirs.header?.company_id}, not ${companyId}`)
  const { agreed, fault } = await compareHeads(later, headsOfExport(fileSource(earlier)), true)
  return verdictOf({ ...own, against: { agreed }, faults: fault === undefined ? [] : [fault] })
}

const isExport = async (file: string): Promise<boolean> => {
  for await (const chunk of fileSource(file)())
    return Buffer.from(chunk).subarray(0, 10).equals(Buffer.from('{"before":'))
  return false
}

/** @throws GatewayError INVALID_OPTION when no key was given and none lies beside the file */
const keyOf = async (file: string, keyFile: string | undefined): Promise<KeyObject> => {
  const path = keyFile ?? keyBeside(file)
  if (keyFile === undefined && !(await exists(path)))
    throw misused(`no public key was given, and ${path} is not there: give --public-key`)
  return readPublicKey(await readText(path), path)
}

const fingerprint = (text: string): string => {
  const hex = text
    .toLowerCase()
    .replace(/^sha256:/, '')
    .replaceAll(':', '')
  if (!/^[0-9a-f]{64}$/.test(hex))
    throw new InvalidArgumentError('expected 64 hexadecimal digits, as "cloudapi audit keygen" prints them')
  return hex
}

const ANCHOR_COLUMNS: readonly Column<Anchor>[] = [
  { title: 'POSITION', of: ({ position }) => position },
  { title: 'EVENTS', of: ({ events }) => events },
  { title: 'RECORDED', of: ({ recordedAt }) => recordedAt },
  { title: 'HEAD', of: ({ head }) => head },
]

const anchorValue =
  (companyId: string) =>
  ({ position, events, head, recordedAt, at }: Anchor) => ({
    company_id: companyId,
    position,
    events,
    head,
    recorded_at: recordedAt,
    recorded_at_position: at,
  })
