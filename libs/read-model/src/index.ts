/**
 * The read model: how events become rows (`fold`), the tables they live in (`migrate`, `createProjectionStore`), and the
 * questions asked of them (`createMessageQueries`).
 */

export { type ContactField, type ContactState, joinContacts } from './contact.ts'
export * from './cursor.ts'
export * from './database.store.ts'
export * from './event-time.ts'
export * from './fold.ts'
export {
  type CreatedVersion,
  createdRank,
  type EditVersion,
  type ExternalMessage,
  externalMessage,
  joinMessages,
  type MessageState,
  PLACEHOLDER_KIND,
} from './message-state.ts'
export * from './messages.store.ts'
export * from './migrate.store.ts'
export { RowRefused } from './postgres-error.ts'
export * from './projection.store.ts'
export { type Difference, isSame, type TableDifferences } from './rebuild/differences.ts'
export {
  checkReadModel,
  type HeldProjection,
  type Progress,
  type RebuildLog,
  type RebuildOptions,
  type RebuildReport,
  rebuild,
} from './rebuild/rebuild.store.ts'
export * from './retention.store.ts'
export * from './retention.ts'
export { searchRefused } from './search-refused.ts'
export { joinSends, SEND_STATUSES, type SendState, type SendStatus } from './send-state.ts'
export * from './sends.store.ts'
export * from './timeline.ts'
export * from './unfoldable-event.ts'
