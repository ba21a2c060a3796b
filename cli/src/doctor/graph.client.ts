import { request } from 'undici'
import { type Check, fail, ok } from './check.ts'

const TIMEOUT_MS = 5_000

/** Whether Graph answers at all. What a company's token is worth is told by Meta only to calls that count. */
export const graphCheck = async (baseUrl: string): Promise<Check> => {
  try {
    const { statusCode, body } = await request(`${baseUrl}/`, { headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS })
    await body.dump()
    return statusCode < 500
      ? ok('graph', `${baseUrl} answers`)
      : fail('graph', `${baseUrl} answers ${statusCode}`, "See Meta's status page: https://metastatus.com")
  } catch (error) {
    const { code, name } = error as NodeJS.ErrnoException
    return fail(
      'graph',
      `${baseUrl} cannot be reached (${code ?? name})`,
      'Check network, proxy and DNS of this machine, and GRAPH_BASE_URL. Nothing is sent meanwhile, and nothing is lost',
    )
  }
}
