import { z } from 'zod'

/** Where Graph is and which version of it, for a service's environment. */
export const GRAPH_ENVIRONMENT = {
  GRAPH_BASE_URL: z
    .url({ protocol: /^https?$/, error: 'expected a URL of http or https' })
    .default('https://graph.facebook.com'),
  GRAPH_VERSION: z
    .string()
    .regex(/^v[0-9]{1,3}\.[0-9]{1,2}$/, 'expected a version such as v22.0')
    .default('v22.0'),
} as const
