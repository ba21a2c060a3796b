/** Meta's limit for `biz_opaque_callback_data`, which it gives back with every status of a message. */
export const CALLBACK_MAX_CHARACTERS = 512

/** Between our command id and the caller's own value: an id holds no space, so the first of these ends it. */
const SEPARATOR = ' cb='

/** The form of a command id: printable ASCII without spaces. */
const COMMAND_ID = /^[\x21-\x7e]{1,128}$/

/**
 * Puts a command's id and the caller's own value into the one text that Meta gives back. A value that would not fit is
 * left out; the id must not be, as it settles what became of the command.
 */
export const writeCallbackData = (commandId: string, own: string | undefined): string => {
  const both = own === undefined || own === '' ? commandId : `${commandId}${SEPARATOR}${own}`
  return both.length <= CALLBACK_MAX_CHARACTERS ? both : commandId
}

/**
 * Takes them apart again. A text without our separator may be a command id alone, or the value of somebody else who sends
 * from the same number: it is given as both, when it has the form of an id.
 */
export const readCallbackData = (text: string): { commandId?: string; own?: string } => {
  const at = text.indexOf(SEPARATOR)
  if (at > 0 && COMMAND_ID.test(text.slice(0, at)))
    return { commandId: text.slice(0, at), own: text.slice(at + SEPARATOR.length) }
  return COMMAND_ID.test(text) ? { commandId: text, own: text } : { own: text }
}
