import type { z } from 'zod'
import { integer, ref, type Schema, schemaOf, string, uuid } from './schema.ts'

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete'

export interface Operation {
  method: Method
  /** With its parameters in braces. */
  path: string
  operation: Schema
}

export interface Parameter {
  name: string
  in: 'path' | 'query' | 'header'
  required?: boolean
  description?: string
  schema: Schema
}

export type Responses = Record<number, Schema>

/** An operation of one service. */
export const operationsOf =
  (service: string, security: Schema[]) =>
  (
    method: Method,
    path: string,
    operation: {
      id: string
      summary: string
      description?: string
      parameters?: readonly Parameter[]
      body?: Schema
      responses: Responses
      security?: Schema[]
      tag?: string
    },
  ): Operation => {
    const { id, summary, description, parameters = [], body, responses } = operation
    return {
      method,
      path,
      operation: {
        operationId: id,
        tags: [operation.tag ?? service],
        summary,
        ...(description === undefined ? {} : { description }),
        security: operation.security ?? security,
        ...(parameters.length === 0 ? {} : { parameters }),
        ...(body === undefined ? {} : { requestBody: body }),
        responses,
      },
    }
  }

export const json = (schema: Schema, examples?: Record<string, Schema>): Schema => ({
  'application/json': { schema, ...(examples === undefined ? {} : { examples }) },
})
export const jsonBody = (schema: Schema, examples?: Record<string, unknown>, types: readonly string[] = []): Schema => {
  const named =
    examples === undefined
      ? undefined
      : Object.fromEntries(Object.entries(examples).map(([name, value]) => [name, { value }]))
  const content = json(schema, named)
  return {
    required: true,
    content: { ...content, ...Object.fromEntries(types.map((type) => [type, content['application/json']])) },
  }
}
export const ok = (description: string, schema: Schema, headers?: Record<string, string>): Schema => ({
  description,
  ...(headers === undefined ? {} : { headers: headersOf(headers) }),
  content: json(schema),
})
export const empty = (description: string): Schema => ({ description })

export const headersOf = (headers: Record<string, string>): Schema =>
  Object.fromEntries(Object.entries(headers).map(([name, description]) => [name, { description, schema: string }]))

/** Answers that are problems, by status: the codes that come with it. `Meta's`: the number that Meta gave. */
export const problems = (byStatus: Record<number, readonly string[]>): Responses =>
  Object.fromEntries(
    Object.entries(byStatus).map(([status, codes]) => [
      status,
      {
        description: codes.map((code) => (/^[A-Z0-9_]+$/.test(code) ? `\`${code}\`` : code)).join(', '),
        ...(RETRY_LATER.has(Number(status)) ? { headers: headersOf({ 'Retry-After': 'Seconds' }) } : {}),
        content: { 'application/problem+json': { schema: ref('Problem') } },
      },
    ]),
  ) as Responses

const RETRY_LATER = new Set([429, 503])

export const companyInPath: Parameter = { name: 'company_id', in: 'path', required: true, schema: uuid }
export const traceparent: Parameter = {
  name: 'traceparent',
  in: 'header',
  description: 'W3C trace context. It goes on into what follows from the request',
  schema: string,
}

/** The parameters of a query string, by the schema that reads it. `notes`: what a text stands for. */
export const queryOf = (
  query: z.ZodType,
  notes: Record<string, Schema & { description?: string }> = {},
): Parameter[] => {
  const { properties, required = [] } = schemaOf(query) as {
    properties: Record<string, Schema>
    required?: string[]
  }
  return Object.entries(properties).map(([name, schema]) => {
    const { description, ...note } = notes[name] ?? {}
    return {
      name,
      in: 'query',
      ...(required.includes(name) ? { required: true } : {}),
      ...(description === undefined ? {} : { description: description as string }),
      schema: Object.keys(note).length > 0 ? note : schema,
    }
  })
}

/** What every list of the read API takes. */
export const pagingNotes = (maxPage: number, page: number) => ({
  since: { description: 'At or after', type: 'string', format: 'date-time' },
  until: { description: 'Before', type: 'string', format: 'date-time' },
  limit: { ...integer, minimum: 1, maximum: maxPage, default: page },
  cursor: { description: 'The `next_cursor` of the page before', type: 'string' },
})
