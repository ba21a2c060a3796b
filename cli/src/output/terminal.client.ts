import { createInterface } from 'node:readline/promises'
import { GatewayError } from '@cloudapi2/contracts'
import type { OutputFormat } from '../options.ts'

/** Where a command prints, and asks. Results go to standard output; everything said about them to standard error. */
export interface Terminal {
  /** A result, whole or a part of it. */
  print: (text: string) => void
  /** A remark. */
  note: (text: string) => void
  /** Values as JSON: one per line, or one array of them. */
  printValues: (format: Exclude<OutputFormat, 'table'>, values: readonly unknown[]) => void
  /** Columns of the terminal; undefined when the output goes elsewhere and must not be cut. */
  width: number | undefined
  bold: (text: string) => string
  /**
   * Asks a question that is answered with yes or no.
   *
   * @throws GatewayError CONFIRMATION_NEEDED when nobody is there to answer
   */
  confirm: (question: string) => Promise<boolean>
}

/** @see https://no-color.org */
export const createTerminal = (process: NodeJS.Process): Terminal => {
  const { stdout, stderr, stdin, env } = process
  const isColoured = stdout.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb'
  const print = (text: string) => void stdout.write(`${text}\n`)
  return {
    print,
    note: (text) => void stderr.write(`${text}\n`),
    printValues: (format, values) => {
      if (format === 'json') print(JSON.stringify(values, null, 2))
      else for (const value of values) print(JSON.stringify(value))
    },
    // A terminal that does not know its width says 0.
    width: stdout.isTTY === true ? stdout.columns || undefined : undefined,
    bold: (text) => (isColoured ? `\u001b[1m${text}\u001b[22m` : text),
    confirm: async (question) => {
      if (stdin.isTTY !== true || stderr.isTTY !== true)
        throw new GatewayError(`${question} Nobody is there to answer: repeat it with --yes`, {
          code: 'CONFIRMATION_NEEDED',
          retryable: false,
        })
      const asked = createInterface({ input: stdin, output: stderr })
      try {
        return /^y(es)?$/i.test((await asked.question(`${question} [y/N] `)).trim())
      } finally {
        asked.close()
      }
    },
  }
}
