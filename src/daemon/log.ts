/**
 * Logging: winston, one line per event, `log.info('session.up', { user, address })`. What a peer sent cannot forge a line
 * (control characters are escaped) and a secret cannot reach one (by type, and by the name of its field).
 */
import winston from 'winston';
import { renderFields } from './log-fields.js';

/** What logs: an event's name and its fields. */
export interface Log {
  error(event: string, fields?: object): unknown;
  warn(event: string, fields?: object): unknown;
  info(event: string, fields?: object): unknown;
  debug(event: string, fields?: object): unknown;
}

/** The same log, with `listener` told every event, whatever the level. */
export const tee = (log: Log, listener: (event: string, fields: Readonly<Record<string, unknown>>) => void): Log => {
  const at =
    (level: keyof Log) =>
    (event: string, fields: object = {}): unknown => {
      listener(event, fields as Readonly<Record<string, unknown>>);
      return log[level](event, fields);
    };
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') };
};

/** The logger of the whole process: it has an end. */
export type RootLog = winston.Logger;

export interface LogOptions {
  readonly level: 'error' | 'warn' | 'info' | 'debug';
  readonly format: 'pretty' | 'json';
  /** Standard output when absent. */
  readonly stream?: NodeJS.WritableStream;
  /** Injected by tests. */
  readonly now?: () => Date;
}

/**
 * The root logger; `log.child({ tunnelId })` adds fields to every event of a child.
 * JSON lines have `time`, `level`, `event`, then the fields. Logging never throws.
 */
export function createLogger({ level, format, stream = process.stdout, now = () => new Date() }: LogOptions): RootLog {
  // A reader that went away (EPIPE) must not take the gateway with it.
  stream.on('error', () => {});
  const log: RootLog = winston.createLogger({
    level,
    levels: LEVELS,
    format: line(() => log.level, format, now)(),
    transports: [new winston.transports.Stream({ stream, eol: '\n' })],
    exitOnError: false,
  });
  return log;
}

const line = (least: () => string, format: LogOptions['format'], now: () => Date) =>
  winston.format((info) => {
    // winston asks the level only after the format; the transport drops it.
    if (rank(info.level) > rank(least())) return info;
    info[MESSAGE] = format === 'json' ? jsonLine(now(), info) : prettyLine(now(), info);
    return info;
  });

function jsonLine(time: Date, info: winston.Logform.TransformableInfo): string {
  const { event, fields } = eventOf(info);
  return safe(JSON.stringify({ time: time.toISOString(), level: info.level, event, ...fields }));
}

function prettyLine(time: Date, info: winston.Logform.TransformableInfo): string {
  const { event, fields } = eventOf(info);
  const pairs = Object.entries(fields).map(([key, value]) => `${key}=${prettyValue(value)}`);
  const head = `${time.toISOString()} ${info.level.toUpperCase().padEnd(5)} ${event.padEnd(EVENT_WIDTH)}`;
  return safe([head, ...pairs].join(' ').trimEnd());
}

/** Bare when it reads as one word, quoted otherwise. */
function prettyValue(value: unknown): string {
  if (typeof value !== 'string') return JSON.stringify(value);
  return /^[^\s"'=\\\p{C}]+$/u.test(value) ? value : JSON.stringify(value);
}

/** The event's name and its fields, rendered; undoes winston's habit of appending a `message` field to the message. */
function eventOf(info: winston.Logform.TransformableInfo): { event: string; fields: Record<string, unknown> } {
  const { level: _level, message, ...rest } = info as Record<string, unknown>;
  const given = (info[SPLAT] as unknown[] | undefined)?.[0];
  let event = String(message);
  const raw: Record<string, unknown> = { ...rest };
  if (typeof given === 'object' && given !== null && 'message' in given && given.message) {
    const tail = ` ${String(given.message)}`;
    if (event.endsWith(tail)) event = event.slice(0, -tail.length);
    if (given instanceof Error) raw.error = given;
    else raw.message = given.message;
  }
  for (const taken of ['time', 'level', 'event'])
    if (Object.hasOwn(raw, taken)) {
      raw[`${taken}_`] = raw[taken];
      delete raw[taken];
    }
  return { event, fields: renderFields(raw) };
}

/** What a terminal would act on or reorder, and what could end a line; `\u....` is legal inside JSON strings too. */
const safe = (text: string): string =>
  text.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_C}]/gu, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);

const LEVELS = { error: 0, warn: 1, info: 2, debug: 3 };
const rank = (level: string): number => LEVELS[level as keyof typeof LEVELS];
const EVENT_WIDTH = 18;
/** winston's well-known symbols (package triple-beam). */
const MESSAGE = Symbol.for('message');
const SPLAT = Symbol.for('splat');
