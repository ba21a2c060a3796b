/** How many rows of a table differ from what the log says. */
export interface TableDifferences {
  name: string
  /** Rows that are not there. */
  missing: number
  /** Rows that no event accounts for. */
  surplus: number
  /** Rows with a wrong column. */
  differs: number
}

/** One row that differs, or one column of it. */
export interface Difference {
  table: string
  company_id: string | null
  /** What else identifies the row; of a contact, whose key is a phone number, a hash: `sha256:` and 16 digits. */
  key: string[]
  kind: 'missing' | 'surplus' | 'differs'
  /** The column, of a row that differs; otherwise null. */
  column: string | null
  /** A text or a phone number, or something that holds one: `live` and `expected` are null. */
  is_hidden: boolean
  live: string | null
  expected: string | null
}

/** Whether the live tables are what the log says. */
export const isSame = (tables: readonly TableDifferences[]): boolean =>
  tables.every(({ missing, surplus, differs }) => missing + surplus + differs === 0)
