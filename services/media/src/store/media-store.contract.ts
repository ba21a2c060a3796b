import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ByteRange, MediaStore } from './media-store.ts'

/** An adapter to be held to the contract, and what is behind it. */
export interface StoreUnderTest {
  store: MediaStore
  /** Leaves a half-written file, as a killed process does; undefined where that cannot be made to happen. */
  leaveHalf?: (key: string) => Promise<void>
  stop: () => Promise<void>
}

const MEGABYTE = 1_024 * 1_024

/** Memory is looked at after the collector has run: what is left is really held. */
const collectGarbage = (): void => {
  setFlagsFromString('--expose-gc')
  ;(runInNewContext('gc') as () => void)()
}
const heldBytes = (): number => {
  collectGarbage()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return arrayBuffers + heapUsed
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

async function* piecesOf(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

/** What every store of files must do, whatever is behind it. */
export const mediaStoreContract = (name: string, start: () => Promise<StoreUnderTest>): void => {
  describe(name, () => {
    let under: StoreUnderTest
    let store: MediaStore
    beforeAll(async () => {
      under = await start()
      store = under.store
    })
    afterAll(() => under?.stop())

    const newKey = () => `${randomUUID()}/${randomBytes(32).toString('hex')}`
    const put = (key: string, bytes: Buffer, size = 64 * 1_024) => store.put(key, piecesOf(bytes, size))
    const read = async (key: string, range?: ByteRange): Promise<Buffer | undefined> => {
      const body = await store.get(key, range)
      if (body === undefined) return undefined
      const pieces: Uint8Array[] = []
      for await (const piece of body) pieces.push(piece)
      return Buffer.concat(pieces)
    }

    test.each([
      ['nothing', 0, 1],
      ['one byte', 1, 1],
      ['less than a chunk', 100_000, 7_777],
      ['exactly one chunk', 131_072, 65_536],
      ['one byte more', 131_073, 131_073],
      ['many chunks in odd pieces', 1_000_000, 33_333],
      ['more than one part', 11 * MEGABYTE + 1, 300_000],
    ])('gives back %s as it was', async (_, size, piece) => {
      const key = newKey()
      const bytes = randomBytes(size)
      expect(await put(key, bytes, piece)).toEqual({ sizeBytes: size, sha256: sha256(bytes) })
      expect(await store.head(key)).toMatchObject({ sizeBytes: size })
      expect((await read(key))?.equals(bytes)).toBe(true)
    })

    test.each([
      ['the first byte', 0, 0],
      ['a part within a chunk', 1_000, 1_999],
      ['a part over the edge of a chunk', 131_000, 131_200],
      ['a part of several chunks', 100_000, 399_999],
      ['the last byte', 499_999, 499_999],
      ['all of it', 0, 499_999],
    ])('gives %s', async (_, from, to) => {
      const key = newKey()
      const bytes = randomBytes(500_000)
      await put(key, bytes)
      expect((await read(key, { start: from, end: to }))?.equals(bytes.subarray(from, to + 1))).toBe(true)
    })

    test('has nothing under a key that was never put', async () => {
      expect(await store.head(newKey())).toBeUndefined()
      expect(await store.get(newKey())).toBeUndefined()
    })

    test('has nothing under a key that was removed, and removing it again is nothing', async () => {
      const key = newKey()
      await put(key, randomBytes(300_000))
      await store.delete(key)
      await store.delete(key)
      expect(await store.head(key)).toBeUndefined()
      expect(await store.get(key)).toBeUndefined()
      await put(key, Buffer.from('again'))
      expect((await read(key))?.toString()).toBe('again')
    })

    test('removing one leaves the others', async () => {
      const [gone, kept] = [newKey(), newKey()]
      await put(gone, randomBytes(1_000))
      await put(kept, Buffer.from('kept'))
      await store.delete(gone)
      expect((await read(kept))?.toString()).toBe('kept')
    })

    test('putting the same again changes nothing', async () => {
      const key = newKey()
      const bytes = randomBytes(400_000)
      await put(key, bytes)
      await Promise.all([put(key, bytes), put(key, bytes)])
      // Of two at the same time one is left over, which is not the one that is read.
      await store.sweep(0)
      expect((await read(key))?.equals(bytes)).toBe(true)
    })

    test.each([
      ['small', 1_000],
      ['large', 11 * MEGABYTE],
    ])('shows nothing of a %s file whose source breaks off, and throws what the source threw', async (_, size) => {
      const key = newKey()
      const broken = new Error('broken off')
      const source = async function* () {
        yield* piecesOf(randomBytes(size), 64 * 1_024)
        throw broken
      }
      await expect(store.put(key, source())).rejects.toBe(broken)
      expect(await store.head(key)).toBeUndefined()
      expect(await store.get(key)).toBeUndefined()
      expect(await store.sweep(0)).toBe(0)
    })

    test.each([
      ['small', 1_000],
      ['large', 11 * MEGABYTE],
    ])('shows nothing of a %s file that the check refuses, which sees it whole', async (_, size) => {
      const key = newKey()
      const bytes = randomBytes(size)
      const refused = new Error('another hash')
      const put = store.put(key, piecesOf(bytes, 64 * 1_024), (content) => {
        expect(content).toEqual({ sizeBytes: size, sha256: sha256(bytes) })
        throw refused
      })
      await expect(put).rejects.toBe(refused)
      expect(await store.head(key)).toBeUndefined()
      expect(await store.sweep(0)).toBe(0)
    })

    test('shows nothing of a file until all of it is there', async () => {
      const key = newKey()
      const bytes = randomBytes(11 * MEGABYTE)
      const source = async function* () {
        for await (const piece of piecesOf(bytes, MEGABYTE)) {
          yield piece
          expect(await store.head(key)).toBeUndefined()
        }
      }
      await store.put(key, source())
      expect(await store.head(key)).toMatchObject({ sizeBytes: bytes.length })
    })

    test('sweeps away what a killed process left half-written, and nothing else', async () => {
      if (under.leaveHalf === undefined) return
      const [whole, half, both] = [newKey(), newKey(), newKey()]
      await put(whole, randomBytes(300_000))
      await put(both, Buffer.from('both'))
      await under.leaveHalf(half)
      await under.leaveHalf(both)
      expect(await store.sweep(3_600_000)).toBe(0) // somebody may be at it
      expect(await store.head(half)).toBeUndefined()
      expect(await store.sweep(0)).toBe(2)
      expect(await store.sweep(0)).toBe(0)
      expect((await read(whole))?.length).toBe(300_000)
      expect((await read(both))?.toString()).toBe('both')
    })

    test('holds little of a hundred megabytes while they go in, and while they are taken out', async () => {
      const key = newKey()
      const total = 100 * MEGABYTE
      const piece = randomBytes(64 * 1_024)
      let mostHeld = 0
      const before = heldBytes()
      const look = (done: number) => {
        if (done % (5 * MEGABYTE) === 0) mostHeld = Math.max(mostHeld, heldBytes() - before)
      }
      const source = async function* () {
        for (let done = 0; done < total; done += piece.length) {
          look(done)
          yield Buffer.from(piece)
        }
      }
      expect((await store.put(key, source())).sizeBytes).toBe(total)
      expect(mostHeld).toBeLessThan(32 * MEGABYTE)

      mostHeld = 0
      let taken = 0
      for await (const part of (await store.get(key)) ?? []) {
        const isNext = Math.floor(taken / (5 * MEGABYTE)) !== Math.floor((taken + part.length) / (5 * MEGABYTE))
        taken += part.length
        if (isNext) look(0)
      }
      expect(taken).toBe(total)
      expect(mostHeld).toBeLessThan(32 * MEGABYTE)
      await store.delete(key)
    })
  })
}
