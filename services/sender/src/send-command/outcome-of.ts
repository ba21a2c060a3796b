import type { SendOutcome } from '@cloudapi2/contracts'
import { refusals } from './refusals.ts'
import type { SendState } from './send-command.ts'

/** What a caller is told of a command. */
export const outcomeOf = (commandId: string, state: SendState): SendOutcome => {
  switch (state.status) {
    case 'accepted':
      return { status: 'accepted', command_id: commandId, message_id: state.receipt.messageId }
    case 'failed':
      return { status: 'failed', command_id: commandId, error: state.error }
    case 'parked':
      return { status: 'failed', command_id: commandId, error: refusals.uncertain }
    case 'refused':
      return { status: 'queued', command_id: commandId, error: state.error }
    case 'none':
    case 'attempting':
    case 'uncertain':
    case 'redriven':
      return { status: 'queued', command_id: commandId }
  }
}
