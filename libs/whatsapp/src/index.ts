export { CALLBACK_MAX_CHARACTERS, readCallbackData, writeCallbackData } from './callback-data.ts'
export { GRAPH_ENVIRONMENT } from './graph-api/environment.ts'
export { ERROR_CODES, type ErrorInfo } from './graph-api/error-codes.ts'
export {
  type Accepted,
  createGraphClient,
  type GraphClient,
  type GraphClientOptions,
  type Marked,
  type NetworkFault,
  type Refused,
  type SendRequest,
  type SendResult,
  type TemplatesRequest,
  type TemplatesResult,
  type Unknown,
  type Unreachable,
} from './graph-api/graph.client.ts'
export {
  errorInfo,
  type GraphError,
  isCredentialError,
  isRetryable,
  parseGraphError,
} from './graph-api/graph-error.ts'
export {
  createMediaClient,
  type DownloadResult,
  type LookUpResult,
  type MediaClient,
  type MediaClientOptions,
  type MediaLocation,
  type NoAnswer,
} from './graph-api/media.client.ts'
export { isMediaAddress } from './graph-api/media-address.ts'
export { hexOfMediaHash } from './graph-api/media-hash.ts'
export { largestMediaBytes } from './graph-api/media-limits.ts'
export { type BuildOptions, buildMessage, type MessageBody, type Recipient } from './outbound-message/build-message.ts'
export { isReadReceipt } from './outbound-message/read-receipt.ts'
export { validateMessage } from './outbound-message/validate-message.ts'
export { isSigned, sign } from './signature.ts'
export { checkRawTemplate } from './template/check-raw-template.ts'
export {
  fillTemplate,
  fillUnknownTemplate,
  type TemplateComponent,
  TemplateDefinitionNeeded,
  type TemplateLayout,
} from './template/fill-template.ts'
export { type DataFaults, TemplateDataMismatch } from './template/template-data-mismatch.ts'
export {
  type ButtonKind,
  canonicalLanguage,
  isSameLanguage,
  parseTemplateDefinition,
  type TemplateCard,
  type TemplateDefinition,
} from './template/template-definition.ts'
export type { TemplateData } from './template/template-tree.ts'
export {
  parseWebhook,
  WEBHOOK_OBJECT,
  type WebhookAddress,
  type WebhookDelivery,
} from './webhook/parse-webhook.ts'
