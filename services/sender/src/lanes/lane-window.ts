/** Of a number that the settings do not name. */
export const DEFAULT_MESSAGES_PER_SECOND = 80

/**
 * How many commands of one number are held in memory, those that wait included: what a number can have under way while
 * the channel takes two seconds for each. The others wait in the stream, however many they are.
 */
export const laneWindow = (number: { messagesPerSecond: number } | undefined): number =>
  Math.max(64, 2 * (number?.messagesPerSecond ?? DEFAULT_MESSAGES_PER_SECOND))
