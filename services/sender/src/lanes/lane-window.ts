/**
 * How many commands of one number are held in memory, those that wait included: what a number can have under way while
 * the channel takes two seconds for each. The others wait in the stream, however many they are.
 */
export const laneWindow = (messagesPerSecond: number): number => Math.max(64, 2 * messagesPerSecond)
