import { applyTopology, connectNats } from '@cloudapi2/nats'
import { readEnvironment, TOPOLOGY_ENVIRONMENT, topologyOf } from '@cloudapi2/service-kit'
import { Command } from 'commander'
import { z } from 'zod'
import { natsUrlOf } from '../context.store.ts'
import type { Terminal } from '../output/terminal.client.ts'

const quiet = { info: () => {}, warn: () => {}, error: () => {} }

/** `cloudapi topology`: the streams and buckets as this version wants them. */
export const topologyCommand = ({ env, terminal }: { env: NodeJS.ProcessEnv; terminal: Terminal }): Command =>
  new Command('topology')
    .description('create or update the streams and buckets on NATS_URL, as NATS_REPLICAS and EVENTS_MAX_AGE say')
    .addHelpText(
      'after',
      `
It needs a user that may change streams, and waits for a server that is not there yet.

EVENTS_MAX_AGE is refused (EVENTS_NOT_ARCHIVED) while the archiver has not copied what would go; where nothing is
archived and events may be lost, say so with EVENTS_MAX_AGE_WITHOUT_ARCHIVE=true.

Example:
  $ NATS_URL=nats://operator:…@nats:4222 NATS_REPLICAS=3 cloudapi topology`,
    )
    .action(async () => {
      const options = topologyOf(readEnvironment(z.object(TOPOLOGY_ENVIRONMENT), env))
      const nats = await connectNats({ url: await natsUrlOf(env), name: 'cloudapi', log: quiet })
      try {
        await applyTopology(nats, options)
      } finally {
        await nats.close()
      }
      terminal.print('streams and buckets are as this version wants them')
    })
