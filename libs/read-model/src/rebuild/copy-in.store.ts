import type { Client, Connection } from 'pg'
import { type CopyValue, copyText } from './copy-text.ts'

/** What the driver asks of a query of one's own (https://node-postgres.com/apis/client, "client.query"). */
class CopyIn {
  readonly done: Promise<void>
  readonly #text: string
  readonly #pieces: Iterable<Buffer>
  #resolve: () => void = () => {}
  #reject: (error: unknown) => void = () => {}

  constructor(text: string, pieces: Iterable<Buffer>) {
    this.#text = text
    this.#pieces = pieces
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }
  submit(connection: Connection): void {
    connection.query(this.#text)
  }
  handleCopyInResponse(connection: CopyConnection): void {
    for (const piece of this.#pieces) connection.sendCopyFromChunk(piece)
    connection.endCopyFrom()
  }
  handleError(error: unknown): void {
    this.#reject(error)
  }
  handleReadyForQuery(): void {
    this.#resolve()
  }
  handleCommandComplete(): void {}
  handleRowDescription(): void {}
  handleDataRow(): void {}
  handleEmptyQuery(): void {}
}

/** Beside what its types tell. */
interface CopyConnection extends Connection {
  sendCopyFromChunk: (chunk: Buffer) => void
  endCopyFrom: () => void
}

/** Appends rows to a table by COPY. @throws the driver's error; nothing is then appended */
export const copyInto = async (
  client: Client,
  table: string,
  columns: readonly string[],
  rows: readonly object[],
): Promise<void> => {
  if (rows.length === 0) return
  const values = rows as readonly Readonly<Record<string, CopyValue>>[]
  const copy = new CopyIn(`copy ${table} (${columns.join(', ')}) from stdin`, copyText(columns, values))
  // Its listener comes first: a connection that is lost already rejects at once.
  const done = copy.done
  client.query(copy)
  await done
}
