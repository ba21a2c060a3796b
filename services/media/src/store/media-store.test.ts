import { CreateMultipartUploadCommand, S3Client, UploadPartCommand } from '@aws-sdk/client-s3'
import { startNats } from '@cloudapi2/embedded'
import { applyTopology, connectNats, MEDIA_BUCKET, openObjectBucket } from '@cloudapi2/nats'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mediaStoreContract } from './media-store.contract.ts'
import { natsObjectStore } from './nats-objects.store.ts'
import { type S3Options, S3Unavailable, s3Store } from './s3.store.ts'
import { type S3Server, startS3 } from './s3-server.rig.ts'

const silent = { info: () => {}, warn: () => {}, error: () => {} }

mediaStoreContract('the NATS object store', async () => {
  const server = await startNats()
  const nats = await connectNats({ url: server.url, name: 'test', log: silent })
  await applyTopology(nats, { replicas: 1, eventsMaxAgeMs: 0 })
  const bucket = openObjectBucket(nats, MEDIA_BUCKET, { timeoutMs: 5_000 })
  return {
    store: natsObjectStore(bucket),
    // A process that is killed writes its chunks and no description.
    leaveHalf: async (key) => {
      const copy = `${key}-copy`
      await bucket.put(
        copy,
        (async function* () {
          yield Buffer.alloc(300_000)
        })(),
      )
      const manager = await nats.raw.jetstreamManager()
      const { state } = await manager.streams.info(`OBJ_${MEDIA_BUCKET}`, { subjects_filter: `$O.${MEDIA_BUCKET}.M.>` })
      const encoded = Buffer.from(copy).toString('base64url')
      const meta = Object.keys(state.subjects ?? {}).find((subject) =>
        subject.startsWith(`$O.${MEDIA_BUCKET}.M.${encoded}`),
      )
      await manager.streams.purge(`OBJ_${MEDIA_BUCKET}`, { filter: meta as string })
    },
    stop: async () => {
      await nats.close()
      await server.stop()
    },
  }
})

const halfAtS3 = (options: S3Options) => async (key: string) => {
  const { bucket: Bucket, endpoint, region, credentials, forcePathStyle } = options
  const client = new S3Client({
    endpoint: endpoint as string,
    region,
    credentials: credentials as NonNullable<S3Options['credentials']>,
    forcePathStyle,
  })
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: key }))
  await client.send(
    new UploadPartCommand({
      Bucket,
      Key: key,
      UploadId: UploadId as string,
      PartNumber: 1,
      Body: Buffer.alloc(100_000),
    }),
  )
  client.destroy()
}

const optionsOf = (server: S3Server): S3Options => ({
  bucket: server.bucket,
  endpoint: server.url,
  region: server.region,
  credentials: server.credentials,
  forcePathStyle: true,
})

mediaStoreContract('S3', async () => {
  const server = await startS3()
  const store = s3Store(optionsOf(server))
  return {
    store,
    leaveHalf: halfAtS3(optionsOf(server)),
    stop: async () => {
      await store.close()
      await server.stop()
    },
  }
})

/** A real one, where somebody has it: its endpoint, with bucket and credentials in variables of the same form. */
const { MEDIA_TEST_S3_ENDPOINT: endpoint, MEDIA_TEST_S3_BUCKET: bucket = 'cloudapi2-test' } = process.env
if (endpoint !== undefined)
  mediaStoreContract(`S3 at ${endpoint}`, async () => {
    const options: S3Options = {
      bucket,
      endpoint,
      region: process.env.MEDIA_TEST_S3_REGION ?? 'us-east-1',
      credentials: {
        accessKeyId: process.env.MEDIA_TEST_S3_ACCESS_KEY_ID ?? '',
        secretAccessKey: process.env.MEDIA_TEST_S3_SECRET_ACCESS_KEY ?? '',
      },
      forcePathStyle: true,
    }
    const store = s3Store(options)
    return { store, leaveHalf: halfAtS3(options), stop: () => store.close() }
  })

describe('S3', () => {
  let server: S3Server
  beforeAll(async () => {
    server = await startS3()
  })
  afterAll(() => server?.stop())
  const source = async function* (size: number) {
    yield Buffer.alloc(size)
  }

  test('gets large files in parts, and small ones in one piece', async () => {
    const store = s3Store(optionsOf(server))
    await store.put('a/small', source(1_000))
    expect(server.calls).toEqual(['PUT'])
    await store.put('a/large', source(12 * 1_048_576))
    expect(server.calls.slice(1)).toEqual(['POST uploads', 'PUT part', 'PUT part', 'PUT part', 'POST upload'])
    await store.close()
  })

  test('with another secret is refused, which is an error that may pass', async () => {
    const store = s3Store({ ...optionsOf(server), credentials: { ...server.credentials, secretAccessKey: 'another' } })
    const refused = expect.objectContaining({ code: 'S3_UNAVAILABLE', retryable: true })
    await expect(store.head('a/small')).rejects.toEqual(refused)
    await expect(store.get('a/small')).rejects.toEqual(refused)
    await expect(store.put('a/other', source(10))).rejects.toBeInstanceOf(S3Unavailable)
    expect(server.keys()).not.toContain('a/other')
    await store.close()
  })

  test('that is busy for a moment is asked again by the client itself', async () => {
    const store = s3Store(optionsOf(server))
    server.failNext(503)
    expect(await store.head('a/small')).toEqual({ sizeBytes: 1_000 })
    await store.close()
  })

  test('that is not there is an error that may pass', async () => {
    const store = s3Store({ ...optionsOf(server), endpoint: 'http://127.0.0.1:1' })
    await expect(store.head('a/small')).rejects.toBeInstanceOf(S3Unavailable)
    await store.close()
  })
})
