import { RowRefused } from './postgres-error.ts'

/**
 * Halves what PostgreSQL refused together until the ones that it refuses are found. The others are applied.
 *
 * @param items   were refused together, with `refusal`
 * @param apply   throws RowRefused when PostgreSQL refuses one of them; nothing of them was applied then
 * @returns those that are refused, each with why
 */
export const searchRefused = async <T>(
  items: readonly T[],
  refusal: RowRefused,
  apply: (items: readonly T[]) => Promise<void>,
): Promise<{ item: T; refusal: RowRefused }[]> => {
  const [only, ...others] = items
  if (only !== undefined && others.length === 0) return [{ item: only, refusal }]
  const refused: { item: T; refusal: RowRefused }[] = []
  for (const half of [items.slice(0, items.length >> 1), items.slice(items.length >> 1)])
    try {
      if (half.length > 0) await apply(half)
    } catch (error) {
      if (!(error instanceof RowRefused)) throw error
      refused.push(...(await searchRefused(half, error, apply)))
    }
  return refused
}
