import { Command } from 'commander'
import type { Terminal } from '../output/terminal.client.ts'
import { parseConfig } from './config.ts'
import { up } from './up.handler.ts'

/** `cloudapi up`: everything on this machine, until Ctrl-C. */
export const upCommand = ({ env, terminal }: { env: NodeJS.ProcessEnv; terminal: Terminal }): Command =>
  new Command('up')
    .description('run everything on this machine until Ctrl-C; settings come from the environment')
    .addHelpText(
      'after',
      `
Examples:
  $ cloudapi up
  $ DATA_DIR=/var/lib/cloudapi2 SENDER_PORT=9081 cloudapi up

The variables are in docs/operating.md. Exit code 78: one of them is wrong.`,
    )
    .action(async () => {
      const config = parseConfig(env)
      let running: Awaited<ReturnType<typeof up>> | undefined
      let isStopping = false
      const stop = async () => {
        if (isStopping) process.exit(130) // asked twice: the children's guard ends what is left
        isStopping = true
        if (running === undefined) return
        terminal.print('\nStopping …')
        await running.stop()
        process.exit(0)
      }
      process.on('SIGINT', () => void stop())
      process.on('SIGTERM', () => void stop())
      running = await up({ config, env, print: terminal.print })
      if (isStopping) {
        await running.stop()
        process.exit(0)
      }
    })
