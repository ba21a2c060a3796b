import { startEventStoreServer } from './server.app.ts'

const start = async (): Promise<void> => {
  const { PORT = '2113', DATA_FILE } = process.env
  if (!/^\d{1,5}$/.test(PORT) || Number(PORT) > 65_535)
    throw new Error('eventstore-server: PORT: expected a number from 0 to 65535')
  const server = await startEventStoreServer({
    port: Number(PORT),
    ...(DATA_FILE !== undefined && DATA_FILE !== '' && { dataFile: DATA_FILE }),
  })
  const stop = () => void server.stop()
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
  process.stdout.write(`${JSON.stringify({ event: 'service.started', url: server.url, port: server.port })}\n`)
}

start().catch((error: unknown) => {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 1
})
