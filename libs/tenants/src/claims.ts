/** Who claims what, where one may be claimed by several. */
export interface Claims {
  /** Adds a claim; returns all who claim it now, the holder first. */
  claim: (id: string, companyId: string) => readonly string[]
  release: (id: string, companyId: string) => void
  /** Of those who claim it, the smallest company id: the same answer in whatever order the claims came. */
  holder: (id: string) => string | undefined
}

export const createClaims = (): Claims => {
  const claimants = new Map<string, readonly string[]>()
  return {
    claim: (id, companyId) => {
      const others = (claimants.get(id) ?? []).filter((other) => other !== companyId)
      const all = [...others, companyId].sort()
      claimants.set(id, all)
      return all
    },
    release: (id, companyId) => {
      const left = (claimants.get(id) ?? []).filter((other) => other !== companyId)
      if (left.length > 0) claimants.set(id, left)
      else claimants.delete(id)
    },
    holder: (id) => claimants.get(id)?.[0],
  }
}
