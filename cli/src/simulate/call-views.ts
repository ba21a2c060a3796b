import type { Call } from '@cloudapi2/graph-simulator'
import type { Column } from '../output/table.ts'

export const CALL_COLUMNS: readonly Column<Call>[] = [
  { title: 'AT', of: ({ at }) => at.slice(11, 23) },
  { title: 'OUTCOME', of: ({ outcome }) => outcome },
  { title: 'STATUS', of: ({ status }) => status },
  { title: 'CODE', of: ({ code }) => code },
  { title: 'TYPE', of: ({ type }) => type },
  { title: 'NUMBER', of: ({ phone_number_id }) => phone_number_id },
  { title: 'MESSAGE', of: ({ message_id }) => message_id },
]

export interface TemplateView {
  id: string
  name: string
  language: string
  status: string
  category: string
  components: unknown[]
}

export const TEMPLATE_COLUMNS: readonly Column<TemplateView>[] = [
  { title: 'NAME', of: ({ name }) => name },
  { title: 'LANGUAGE', of: ({ language }) => language },
  { title: 'STATUS', of: ({ status }) => status },
  { title: 'CATEGORY', of: ({ category }) => category },
  { title: 'PARTS', of: ({ components }) => components.length },
]
