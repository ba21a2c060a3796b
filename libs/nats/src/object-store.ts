import { createHash, randomBytes } from 'node:crypto'
import { GatewayError } from '@cloudapi2/contracts'
import { type Nats, reasonOf, toMsgHdrs } from './connection.ts'

/** What was stored, or is to be. `sha256`: 64 hexadecimal digits, lower case. */
export interface ObjectContent {
  sizeBytes: number
  sha256: string
}

/** Part of an object: `start` is the first byte, `end` the last one, both from 0. */
export interface ByteRange {
  start: number
  end: number
}

export interface ObjectBucket {
  /**
   * Stores what the source yields, in constant memory, in the place of what was there under the name. It is there for
   * readers only once all of it is stored. When the source or `check` throws, nothing of it remains.
   *
   * @param check sees size and hash of the whole before it becomes visible, and throws to refuse it
   * @throws ObjectStoreUnavailable, and whatever source and `check` throw
   */
  put: (
    name: string,
    source: AsyncIterable<Uint8Array>,
    check?: (content: ObjectContent) => void,
  ) => Promise<ObjectContent>
  /** Undefined when there is none. @throws ObjectStoreUnavailable */
  head: (name: string) => Promise<ObjectContent | undefined>
  /**
   * The bytes as they are asked for, never more than one chunk ahead; undefined when there is no such object. A whole
   * object is compared with its hash, and the last read throws when it differs.
   *
   * @throws ObjectStoreUnavailable, also while the bytes are read
   */
  get: (
    name: string,
    range?: ByteRange,
  ) => Promise<{ content: ObjectContent; body: AsyncIterable<Uint8Array> } | undefined>
  /** Removes it without a trace; false when there was none. @throws ObjectStoreUnavailable */
  delete: (name: string) => Promise<boolean>
  /**
   * Removes what was left half-written by processes that were killed.
   *
   * @param olderThanMs what was written to since is left alone: somebody may be at it
   * @returns how many there were
   */
  sweep: (olderThanMs: number) => Promise<number>
}

/** The object store does not answer, or what it holds is damaged. */
export class ObjectStoreUnavailable extends GatewayError {
  constructor(bucket: string, reason: string, cause?: unknown) {
    super(`object store ${bucket}: ${reason}`, { code: 'OBJECT_STORE_UNAVAILABLE', retryable: true, cause })
  }
}

/** The size that other clients use as well. */
const CHUNK_BYTES = 128 * 1_024
/** Chunks on their way to the server: enough to keep it busy, and all that is held in memory. */
const CHUNKS_IN_FLIGHT = 4

const NOT_FOUND = 404

/**
 * What the server keeps of an object beside its chunks, by the convention that NATS clients share (ADR 20), so that
 * `nats object` reads ours.
 */
interface ObjectMeta {
  name: string
  bucket: string
  nuid: string
  size: number
  chunks: number
  /** `SHA-256=` and base64url. */
  digest: string
  mtime: string
  deleted?: boolean
}

const DIGEST = 'SHA-256='
const contentOf = ({ size, digest }: ObjectMeta): ObjectContent => ({
  sizeBytes: size,
  sha256: Buffer.from(digest.slice(DIGEST.length), 'base64url').toString('hex'),
})

interface Stored {
  data: Uint8Array
  sequence: number
  storedAt: Date
}

/** Base64url with padding: the convention for names in subjects. */
const encoded = (name: string): string => {
  const text = Buffer.from(name).toString('base64url')
  return text.padEnd(Math.ceil(text.length / 4) * 4, '=')
}

/** Names the uploads of one object alike, so that a sweep tells from subjects alone which may be left over. */
const uploadPrefix = (name: string): string => createHash('sha256').update(name).digest('base64url').slice(0, 22)
const PREFIX_CHARACTERS = 22

/** Cuts a stream of any pieces into chunks of one size; the last one is what is left. */
async function* inChunks(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let chunk = Buffer.allocUnsafe(CHUNK_BYTES)
  let filled = 0
  for await (const piece of source) {
    for (let at = 0; at < piece.length; ) {
      const take = Math.min(piece.length - at, CHUNK_BYTES - filled)
      chunk.set(piece.subarray(at, at + take), filled)
      filled += take
      at += take
      if (filled < CHUNK_BYTES) continue
      yield chunk
      // Not used again: it may still be on its way.
      chunk = Buffer.allocUnsafe(CHUNK_BYTES)
      filled = 0
    }
  }
  if (filled > 0) yield chunk.subarray(0, filled)
}

/**
 * Opens an object store that is there already (see `applyTopology`). Our own reading and writing, because the client's
 * sends all chunks before it waits for the first confirmation, reads them without regard to who takes them, and knows no
 * ranges: with either a file is in memory whole.
 */
export const openObjectBucket = (nats: Nats, bucket: string, { timeoutMs }: { timeoutMs: number }): ObjectBucket => {
  const stream = `OBJ_${bucket}`
  const metaSubject = (name: string) => `$O.${bucket}.M.${encoded(name)}`
  const chunkSubject = (nuid: string) => `$O.${bucket}.C.${nuid}`
  const unavailable = (reason: string, cause?: unknown) => new ObjectStoreUnavailable(bucket, reason, cause)

  const ask = async (subject: string, body: unknown) => {
    // The client would wait for the connection to return, for as long as it takes.
    if (!nats.isConnected()) throw unavailable('no connection')
    try {
      return await nats.raw.request(subject, JSON.stringify(body), { timeout: timeoutMs })
    } catch (cause) {
      throw unavailable(reasonOf(cause), cause)
    }
  }

  /** Asks the API; its errors are in the answer. */
  const api = async <T>(request: string, body: unknown = {}): Promise<T> => {
    const answer = JSON.parse((await ask(`$JS.API.${request}.${stream}`, body)).string()) as T & {
      error?: { description?: string }
    }
    if (answer.error !== undefined) throw unavailable(answer.error.description ?? 'refused')
    return answer
  }

  const publish = async (subject: string, data: Uint8Array | string, headers?: Record<string, string>) => {
    if (!nats.isConnected()) throw unavailable('no connection')
    let text: string
    try {
      const options = { timeout: timeoutMs, ...(headers === undefined ? {} : { headers: toMsgHdrs(headers) }) }
      text = (await nats.raw.request(subject, data, options)).string()
    } catch (cause) {
      throw unavailable(reasonOf(cause), cause)
    }
    const { error } = JSON.parse(text) as { error?: { description?: string } }
    if (error !== undefined) throw unavailable(error.description ?? 'refused')
  }

  const direct = async (query: Record<string, unknown>): Promise<Stored | undefined> => {
    const { data, headers } = await ask(`$JS.API.DIRECT.GET.${stream}`, query)
    if (headers !== undefined && headers.code === NOT_FOUND) return undefined
    const sequence = Number(headers?.get('Nats-Sequence'))
    if (headers === undefined || headers.code >= 400 || !(sequence > 0))
      throw unavailable(`${headers?.code ?? ''} ${headers?.description ?? 'an answer without a message'}`)
    return { data, sequence, storedAt: new Date(headers.get('Nats-Time-Stamp')) }
  }

  const metaOf = async (name: string): Promise<ObjectMeta | undefined> => {
    const stored = await direct({ last_by_subj: metaSubject(name) })
    if (stored === undefined) return undefined
    const meta = JSON.parse(Buffer.from(stored.data).toString()) as ObjectMeta
    return meta.deleted === true ? undefined : meta
  }

  const purge = async (subject: string): Promise<number> =>
    (await api<{ purged: number }>('STREAM.PURGE', { filter: subject })).purged

  const subjectsUnder = async (filter: string): Promise<string[]> => {
    const subjects: string[] = []
    for (;;) {
      const { state, total = 0 } = await api<{ state: { subjects?: Record<string, number> }; total?: number }>(
        'STREAM.INFO',
        { subjects_filter: filter, offset: subjects.length },
      )
      const page = Object.keys(state.subjects ?? {})
      subjects.push(...page)
      if (page.length === 0 || subjects.length >= total) return subjects
    }
  }

  return {
    put: async (name, source, check = () => {}) => {
      const nuid = `${uploadPrefix(name)}${randomBytes(12).toString('base64url')}`
      const hash = createHash('sha256')
      let sizeBytes = 0
      let chunks = 0
      const inFlight: Promise<void>[] = []
      try {
        for await (const chunk of inChunks(source)) {
          hash.update(chunk)
          sizeBytes += chunk.length
          chunks += 1
          const confirmed = publish(chunkSubject(nuid), chunk)
          confirmed.catch(() => {}) // awaited in its turn, unless an earlier one fails
          inFlight.push(confirmed)
          if (inFlight.length >= CHUNKS_IN_FLIGHT) await inFlight.shift()
        }
        await Promise.all(inFlight)
        const digest = hash.digest()
        const content = { sizeBytes, sha256: digest.toString('hex') }
        check(content)
        const old = await metaOf(name)
        const meta: ObjectMeta & { options: object } = {
          name,
          bucket,
          nuid,
          size: sizeBytes,
          chunks,
          digest: `${DIGEST}${digest.toString('base64url')}=`,
          mtime: new Date().toISOString(),
          options: { max_chunk_size: CHUNK_BYTES },
        }
        await publish(metaSubject(name), JSON.stringify(meta), { 'Nats-Rollup': 'sub' })
        // It is stored; what cannot be tidied now is swept later.
        if (old !== undefined) await purge(chunkSubject(old.nuid)).catch(() => {})
        return content
      } catch (error) {
        await Promise.allSettled(inFlight)
        // The confirmation of its meta may have got lost: then it is stored after all, and must stay whole.
        const isStored = await metaOf(name).then(
          (meta) => meta?.nuid === nuid,
          () => true,
        )
        if (!isStored) await purge(chunkSubject(nuid)).catch(() => {}) // swept later
        throw error
      }
    },

    head: async (name) => {
      const meta = await metaOf(name)
      return meta === undefined ? undefined : contentOf(meta)
    },

    get: async (name, range) => {
      const meta = await metaOf(name)
      if (meta === undefined) return undefined
      const content = contentOf(meta)
      const start = range?.start ?? 0
      const end = Math.min(range?.end ?? meta.size - 1, meta.size - 1)
      const isWhole = start === 0 && end === meta.size - 1
      const read = async function* (): AsyncGenerator<Uint8Array> {
        const hash = createHash('sha256')
        let sequence = 0
        for (let at = 0; at <= end; ) {
          const chunk = await direct({ next_by_subj: chunkSubject(meta.nuid), seq: sequence + 1 })
          if (chunk === undefined || chunk.data.length === 0) throw unavailable(`${at} bytes of ${meta.size} are there`)
          sequence = chunk.sequence
          if (isWhole) hash.update(chunk.data)
          const wanted = chunk.data.subarray(Math.max(0, start - at), end - at + 1)
          at += chunk.data.length
          if (wanted.length > 0) yield wanted
        }
        if (isWhole && hash.digest('hex') !== content.sha256) throw unavailable('the content differs from its hash')
      }
      return { content, body: read() }
    },

    delete: async (name) => {
      const meta = await metaOf(name)
      if (meta === undefined) return false
      // Its name first: half a deletion is a half-written object, which a sweep removes.
      await purge(metaSubject(name))
      await purge(chunkSubject(meta.nuid))
      return true
    },

    sweep: async (olderThanMs) => {
      const names = new Map<string, string>()
      for (const subject of await subjectsUnder(`$O.${bucket}.M.>`)) {
        const name = Buffer.from(subject.slice(`$O.${bucket}.M.`.length), 'base64url').toString()
        names.set(uploadPrefix(name), name)
      }
      const uploads = new Map<string, string[]>()
      for (const subject of await subjectsUnder(`$O.${bucket}.C.>`)) {
        const nuid = subject.slice(`$O.${bucket}.C.`.length)
        const prefix = nuid.slice(0, PREFIX_CHARACTERS)
        uploads.set(prefix, [...(uploads.get(prefix) ?? []), nuid])
      }
      let swept = 0
      for (const [prefix, nuids] of uploads) {
        const name = names.get(prefix)
        // A complete object has chunks, so where there is one upload of a name that is there, it is the object's.
        if (name !== undefined && nuids.length === 1) continue
        for (const nuid of nuids) {
          const newest = await direct({ last_by_subj: chunkSubject(nuid) })
          if (newest === undefined || Date.now() - newest.storedAt.getTime() < olderThanMs) continue
          // Read now: it may have become the object's since.
          const meta = name === undefined ? undefined : await metaOf(name)
          if (meta?.nuid === nuid) continue
          await purge(chunkSubject(nuid))
          swept += 1
        }
      }
      return swept
    },
  }
}
