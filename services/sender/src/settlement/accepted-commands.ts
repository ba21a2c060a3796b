/** The commands whose acceptance this process knows of, the latest ones. */
export interface AcceptedCommands {
  has: (companyId: string, commandId: string) => boolean
  add: (companyId: string, commandId: string) => void
}

/** Remembers the last `size` of them. Forgetting one costs a look into the ledger, nothing else. */
export const createAcceptedCommands = (size: number): AcceptedCommands => {
  const known = new Set<string>()
  const keyOf = (companyId: string, commandId: string) => `${companyId} ${commandId}`
  return {
    has: (companyId, commandId) => known.has(keyOf(companyId, commandId)),
    add: (companyId, commandId) => {
      const key = keyOf(companyId, commandId)
      known.delete(key)
      known.add(key)
      if (known.size > size) known.delete(known.values().next().value as string)
    },
  }
}
