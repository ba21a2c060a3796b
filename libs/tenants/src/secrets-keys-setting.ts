import { z } from 'zod'
import { InvalidSecretsKeys, parseSecretsKeys } from './sealed-secrets.ts'

/** `SECRETS_KEYS` in a service's environment, as keys. What is wrong with it is named, never what it holds. */
export const secretsKeysSetting = () =>
  z.string().transform((text, context) => {
    try {
      return parseSecretsKeys(text)
    } catch (error) {
      if (!(error instanceof InvalidSecretsKeys)) throw error
      context.addIssue({ code: 'custom', message: error.message })
      return z.NEVER
    }
  })
