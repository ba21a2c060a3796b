import type { InvalidField, SendError } from '@cloudapi2/contracts'

/** Why a command is not sent, in our own words and codes (docs/errors.md). None quotes a value of the command. */
export const refusals = {
  invalidCommand: (fields: readonly InvalidField[]): SendError => ({
    code: 'INVALID_COMMAND',
    title: 'The command is not valid',
    details: fields.map(({ path, message }) => `${path}: ${message}`).join('; '),
    action: 'Correct the fields named and send it again.',
    fault: 'request',
    fields,
  }),
  idempotencyKeyReused: {
    code: 'IDEMPOTENCY_KEY_REUSED',
    title: 'The id names another command already',
    details: 'A command with this id was sent before with another content.',
    action: 'Give a new command a new id; repeat an old one unchanged.',
    fault: 'request',
  },
  unknownCompany: {
    code: 'UNKNOWN_COMPANY',
    title: 'There is no such company',
    action: 'Check company_id, or configure the company first.',
    fault: 'request',
  },
  senderNotFound: {
    code: 'SENDER_NOT_FOUND',
    title: 'It cannot be told which company is to send this',
    details:
      'The command names neither a company nor a known number, and the recipient has no conversation with any company.',
    action: 'Give company_id or phone_number_id.',
    fault: 'request',
  },
  conversationsAway: {
    code: 'CONVERSATIONS_UNAVAILABLE',
    title: 'It cannot be told now which company is to send this',
    details: 'The command names neither a company nor a number, and whoever knows the conversations does not answer.',
    action: 'Give company_id or phone_number_id, or send it again later.',
    fault: 'channel',
  },
  unknownNumber: {
    code: 'UNKNOWN_PHONE_NUMBER',
    title: 'No company has this number',
    details: 'phone_number_id: expected the id of a number that a company is configured with',
    action: 'Check phone_number_id, or give company_id.',
    fault: 'request',
  },
  numberOfAnotherCompany: {
    code: 'PHONE_NUMBER_OF_ANOTHER_COMPANY',
    title: 'The number does not belong to the company',
    details: 'phone_number_id: expected a number of the company that sends',
    action: "Use one of the company's own numbers, or leave phone_number_id out.",
    fault: 'request',
  },
  noPhoneNumber: {
    code: 'NO_PHONE_NUMBER',
    title: 'The company has no number to send from',
    action: 'Set WHATSAPP_PHONE_NUMBER_ID of the company, or give phone_number_id.',
    fault: 'request',
  },
  noAccessToken: {
    code: 'NO_ACCESS_TOKEN',
    title: 'The company has no usable access token',
    action: 'Set WHATSAPP_ACCESS_TOKEN of the company.',
    fault: 'request',
  },
  invalidPhone: {
    code: 'INVALID_PHONE',
    title: 'The recipient is not a phone number that can exist',
    details: "to: expected a phone number, with country code unless it is of the company's own country, or a user id",
    action: 'Correct the number.',
    fault: 'request',
  },
  uncertain: {
    code: 'SEND_UNCERTAIN',
    title: 'It is not known whether the message was sent',
    details: 'The channel did not answer in time, or the sender was stopped in the middle. It is not sent again.',
    action: 'Look for the message before sending it again under a new id.',
    fault: 'channel',
  },
} as const satisfies Record<string, SendError | ((...args: never[]) => SendError)>
