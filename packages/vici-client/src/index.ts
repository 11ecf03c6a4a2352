/** VICI, strongSwan's control protocol, for Node.js. The layers are modules of their own: `vici-client/message` etc. */
export * from './client.js';
export * from './errors.js';
export { DEPTH_LIMIT, type Element, type ElementInput, Section, type SectionInput, type Strings } from './message.js';
export {
  type CommandOptions,
  type Commands,
  type EventListener,
  Session,
  type SessionOptions,
  STREAMED,
  type StreamedCommand,
} from './session.js';
export { DEFAULT_ENDPOINT, SEGMENT_LIMIT } from './transport.js';
