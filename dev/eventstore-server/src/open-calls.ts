import type { ServiceError } from '@grpc/grpc-js'

/** The calls that are open, so that all of them can be cut. */
export const createOpenCalls = () => {
  const cuts = new Set<(error: ServiceError) => void>()
  return {
    /** @returns to be called when the call is over */
    add: (cut: (error: ServiceError) => void): (() => void) => {
      cuts.add(cut)
      return () => cuts.delete(cut)
    },
    cutAll: (error: ServiceError): void => {
      for (const cut of [...cuts]) cut(error)
      cuts.clear()
    },
  }
}
export type OpenCalls = ReturnType<typeof createOpenCalls>
