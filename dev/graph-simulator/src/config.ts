import { z } from 'zod'
import { ConfigError } from './errors.ts'
import { TenantsSchema } from './tenants.ts'

const Env = z.object({
  PORT: z.coerce.number().int().min(0).max(65_535).default(8089),
  HOST: z.string().min(1).default('127.0.0.1'),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  GRAPH_SIMULATOR_TENANTS: z.string().default('[]'),
})

const isJson = (text: string): boolean => /^\s*[[{]/.test(text)

const parseTenants = (setting: string, readText: (path: string) => string) => {
  const where = isJson(setting) ? 'its JSON' : 'the file it names'
  const read = () => {
    try {
      return JSON.parse(isJson(setting) ? setting : readText(setting)) as unknown
    } catch (error) {
      // The parser's own message quotes what it could not read, which holds secrets: only the kind of fault is told.
      const fault = error instanceof SyntaxError ? 'is not valid JSON' : 'cannot be read'
      throw new ConfigError(`GRAPH_SIMULATOR_TENANTS: ${where} ${fault}`)
    }
  }
  const { success, data, error } = TenantsSchema.safeParse(read())
  if (success) return data
  throw new ConfigError(
    error.issues
      .map((issue) => `GRAPH_SIMULATOR_TENANTS: ${where}: ${issue.path.join('.')}: ${issue.message}`)
      .join('\n'),
  )
}

/**
 * Reads the environment once.
 *
 * @param readText reads a file, for `GRAPH_SIMULATOR_TENANTS` that is a path
 * @throws ConfigError naming every bad variable and none of their values
 */
export const parseConfig = (env: NodeJS.ProcessEnv, readText: (path: string) => string) => {
  const { success, data, error } = Env.safeParse(env)
  if (!success)
    throw new ConfigError(error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('\n'))
  return {
    port: data.PORT,
    host: data.HOST,
    logLevel: data.LOG_LEVEL,
    tenants: parseTenants(data.GRAPH_SIMULATOR_TENANTS, readText),
  }
}
export type Config = ReturnType<typeof parseConfig>
