import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { choosePort } from './ports.client.ts'

const listen = async (port = 0, host = '127.0.0.1'): Promise<number> => {
  const server = createServer().listen(port, host)
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

const NAME = 'EMBEDDED_NATS_PORT'
const freeOne = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

test('a port that is free is taken as wished', async () => {
  const wanted = await freeOne()
  expect(await choosePort({ name: NAME, wanted, explicit: true })).toEqual({ port: wanted, fellBack: false })
})

test('a default that is taken gives way to a free port, and that is said', async () => {
  const wanted = await listen()
  const { port, fellBack } = await choosePort({ name: NAME, wanted, explicit: false })
  expect(fellBack).toBe(true)
  expect(port).not.toBe(wanted)
  expect(await listen(port)).toBe(port)
})

test('a port that was set and is taken is an error that names the variable', async () => {
  const wanted = await listen()
  await expect(choosePort({ name: NAME, wanted, explicit: true })).rejects.toMatchObject({
    code: 'PORT_TAKEN',
    retryable: false,
    message: expect.stringMatching(new RegExp(`${NAME}.*${wanted}`)),
  })
})

test('a server on all addresses takes the port too', async () => {
  const wanted = await listen(0, '0.0.0.0')
  expect(await choosePort({ name: NAME, wanted, explicit: false })).toMatchObject({ fellBack: true })
})

test('no port is given out twice, even while nobody listens yet', async () => {
  const wanted = await freeOne()
  await choosePort({ name: NAME, wanted, explicit: true })
  expect((await choosePort({ name: 'OTHER_PORT', wanted, explicit: false })).fellBack).toBe(true)
  await expect(choosePort({ name: 'OTHER_PORT', wanted, explicit: true })).rejects.toMatchObject({ code: 'PORT_TAKEN' })
  const many = await Promise.all(
    Array.from({ length: 50 }, () => choosePort({ name: 'P', wanted: 0, explicit: false })),
  )
  expect(new Set(many.map(({ port }) => port)).size).toBe(50)
})

test('what is no port is refused', async () => {
  for (const wanted of [-1, 65_536, 1.5, Number.NaN])
    await expect(choosePort({ name: NAME, wanted, explicit: true })).rejects.toMatchObject({ code: 'PORT_INVALID' })
})
