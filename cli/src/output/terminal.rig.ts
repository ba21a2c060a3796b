import { GatewayError } from '@cloudapi2/contracts'
import { type Command, CommanderError } from 'commander'
import { Ended, exitCodeOf } from './exit-codes.ts'
import type { Terminal } from './terminal.client.ts'

/** What a command printed, said about it, and ended with. */
export interface Ran {
  code: number
  out: string
  err: string
}

export interface RunningCommand {
  /** What it printed so far. */
  out: () => string
  err: () => string
  done: Promise<Ran>
}

/** A terminal that is none: nothing is cut, and questions are answered as the test says. */
export const recordingTerminal = (answer?: boolean) => {
  let out = ''
  let err = ''
  const asked: string[] = []
  const print = (text: string) => {
    out += `${text}\n`
  }
  const terminal: Terminal = {
    print,
    note: (text) => {
      err += `${text}\n`
    },
    printValues: (format, values) => {
      if (format === 'json') print(JSON.stringify(values, null, 2))
      else for (const value of values) print(JSON.stringify(value))
    },
    width: undefined,
    bold: (text) => text,
    confirm: async (question) => {
      asked.push(question)
      if (answer === undefined) throw new GatewayError(question, { code: 'CONFIRMATION_NEEDED', retryable: false })
      return answer
    },
  }
  return { terminal, asked, out: () => out, err: () => err }
}

/** Runs a command in this process, and ends it as main.ts would. */
export const start = (
  make: (terminal: Terminal) => Command,
  args: readonly string[],
  options: { answer?: boolean } = {},
): RunningCommand => {
  const { terminal, out, err } = recordingTerminal(options.answer)
  const run = async (): Promise<Ran> => {
    const command = make(terminal)
    const tame = (one: Command): void => {
      one.exitOverride().configureOutput({ writeOut: terminal.print, writeErr: terminal.note })
      one.commands.forEach(tame)
    }
    tame(command)
    try {
      await command.parseAsync([...args], { from: 'user' })
      return { code: 0, out: out(), err: err() }
    } catch (error) {
      if (error instanceof Ended) return { code: error.exitCode, out: out(), err: err() }
      if (error instanceof CommanderError) return { code: error.exitCode === 0 ? 0 : 2, out: out(), err: err() }
      if (!(error instanceof GatewayError)) throw error
      terminal.note(`error: ${error.message} (${error.code})`)
      return { code: exitCodeOf(error), out: out(), err: err() }
    }
  }
  return { out, err, done: run() }
}
