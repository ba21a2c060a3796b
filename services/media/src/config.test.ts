import { ConfigError } from '@cloudapi2/service-kit'
import { expect, test } from 'vitest'
import { parseConfig } from './config.ts'

const REQUIRED = { NATS_URL: 'nats://localhost:4222', SECRETS_KEYS: `k1:${Buffer.alloc(32).toString('base64')}` }
const S3 = {
  MEDIA_S3_BUCKET: 'files',
  MEDIA_S3_ENDPOINT: 'http://localhost:9000',
  MEDIA_S3_ACCESS_KEY_ID: 'id',
  MEDIA_S3_SECRET_ACCESS_KEY: 'secret',
}

test('files are in NATS unless a bucket of S3 is named', () => {
  expect(parseConfig(REQUIRED)).toMatchObject({ port: 8084, s3: undefined, maxInFlight: 32 })
  expect(parseConfig({ ...REQUIRED, ...S3 }).s3).toEqual({
    bucket: 'files',
    endpoint: 'http://localhost:9000',
    region: 'us-east-1',
    credentials: { accessKeyId: 'id', secretAccessKey: 'secret' },
    forcePathStyle: true,
  })
})

test('at Amazon the bucket is in the host name, and its SDK may find the credentials', () => {
  expect(parseConfig({ ...REQUIRED, MEDIA_S3_BUCKET: 'files', MEDIA_S3_REGION: 'eu-west-1' }).s3).toEqual({
    bucket: 'files',
    endpoint: undefined,
    region: 'eu-west-1',
    credentials: undefined,
    forcePathStyle: false,
  })
})

test.each([
  ['half of the credentials', { ...S3, MEDIA_S3_SECRET_ACCESS_KEY: undefined }, /MEDIA_S3_ACCESS_KEY_ID/],
  ['an endpoint without a bucket', { ...S3, MEDIA_S3_BUCKET: undefined }, /MEDIA_S3_BUCKET/],
  ['an endpoint that is no URL', { ...S3, MEDIA_S3_ENDPOINT: 'very-secret-place' }, /MEDIA_S3_ENDPOINT/],
  ['no place at all', { MEDIA_MAX_IN_FLIGHT: '0' }, /MEDIA_MAX_IN_FLIGHT/],
])('%s is a fault that names the variable and no value', (_, env, fault) => {
  const parse = () => parseConfig({ ...REQUIRED, ...env })
  expect(parse).toThrow(ConfigError)
  expect(parse).toThrow(fault)
  expect(parse).not.toThrow(/very-secret-place/)
})
