import { stringify } from 'yaml'
import { asyncapi } from './asyncapi.ts'
import { openapi } from './openapi.ts'

const NOTE = '# Written by scripts/write-api-descriptions.mjs; changes made here are lost.\n'

const text = (document: unknown): string => NOTE + stringify(document, { lineWidth: 120, aliasDuplicateObjects: false })

/** The content of every file that describes the interfaces, by its path. The sender serves its own copies. */
export const documents = (): Record<string, string> => {
  const [open, async] = [text(openapi()), text(asyncapi())]
  return {
    'docs/openapi.yaml': open,
    'docs/asyncapi.yaml': async,
    'services/sender/api-docs/openapi.yaml': open,
    'services/sender/api-docs/asyncapi.yaml': async,
  }
}
