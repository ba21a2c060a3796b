import {
  CommandId,
  InvalidCommand,
  type InvalidField,
  isCompanyId,
  MAX_COMMAND_BYTES,
  parseSendCommand,
  parseSendSubject,
  type SendCommand,
} from '@cloudapi2/contracts'

export type ReadCommand =
  | { ok: true; command: SendCommand }
  /** With what could be told of it all the same, for the answer and the log. */
  | { ok: false; fields: InvalidField[]; commandId: string | undefined; companyId: string | undefined }

const decoder = new TextDecoder()

/** Reads what came on `cmd.send.>`, whatever it is. The company may stand in the subject, the body, or neither. */
export const readCommand = (subject: string, data: Uint8Array): ReadCommand => {
  const address = parseSendSubject(subject)
  const companyOfSubject = address?.company_id
  const invalid = (fields: InvalidField[], body?: unknown): ReadCommand => ({
    ok: false,
    fields,
    commandId: idOf(body),
    companyId: isCompanyId(companyOfSubject) ? companyOfSubject : undefined,
  })
  if (address === undefined || (companyOfSubject !== undefined && !isCompanyId(companyOfSubject)))
    return invalid([{ path: 'subject', message: 'expected cmd.send.<company_id or _>.<channel>' }])
  if (data.length > MAX_COMMAND_BYTES)
    return invalid([{ path: 'body', message: `expected at most ${MAX_COMMAND_BYTES} bytes` }])

  let body: unknown
  try {
    body = JSON.parse(decoder.decode(data))
  } catch {
    return invalid([{ path: 'body', message: 'expected JSON' }]) // the parser's own words would quote it
  }
  try {
    const command = parseSendCommand(body)
    if (command.channel !== address.channel)
      return invalid([{ path: 'channel', message: "expected the subject's" }], body)
    if (companyOfSubject === undefined) return { ok: true, command }
    if (command.company_id !== undefined && command.company_id !== companyOfSubject)
      return invalid([{ path: 'company_id', message: "expected the subject's" }], body)
    return { ok: true, command: { ...command, company_id: companyOfSubject } }
  } catch (error) {
    if (error instanceof InvalidCommand) return invalid([...error.fields], body)
    throw error
  }
}

const idOf = (body: unknown): string | undefined => {
  const id = typeof body === 'object' && body !== null ? (body as { id?: unknown }).id : undefined
  return CommandId.safeParse(id).success ? (id as string) : undefined
}

/**
 * Where the outcome goes, when that is somebody's inbox. Anything else would let whoever may send a command publish
 * with the sender's rights, into the log for instance.
 */
export const replySubject = (header: string | undefined): string | undefined =>
  header !== undefined && /^_INBOX(\.[A-Za-z0-9_-]+)+$/.test(header) ? header : undefined
