/** Turns the fields of a log event into plain JSON values: total, bounded, and blind to secrets. */
import { Secret } from './secret.js';

/** Field names whose value is never printed, whatever its type: `psk`, `userPassword`, `nt_hash`, `tunnelSecret`... */
const SECRET_NAME = /psk$|passw|secret|nt_?hash|private_?key|credential/i;

/** Every value as a string, finite number, boolean, null, or a bounded array or mapping of these. */
export function renderFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const key of Object.keys(fields)) {
    const value = field(fields, key, 0);
    if (value !== undefined) out[key] = value;
  }
  return out;
}

/** One field; a getter that throws is reported in place. */
function field(owner: object, key: string, depth: number): unknown {
  try {
    const value = (owner as Record<string, unknown>)[key];
    if (value === undefined) return undefined;
    return SECRET_NAME.test(key) && value !== null ? '***' : render(value, depth);
  } catch {
    return '(unprintable)';
  }
}

function render(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case 'string':
      return cut(value);
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    case 'bigint':
      return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)
        ? Number(value)
        : String(value);
    case 'boolean':
      return value;
    case 'object':
      return value === null ? null : renderObject(value, depth);
    default:
      return typeof value === 'undefined' ? null : `(${typeof value})`;
  }
}

function renderObject(value: object, depth: number): unknown {
  if (value instanceof Secret) return '***';
  if (value instanceof Uint8Array) return hex(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
  if (depth >= MAX_DEPTH) return '(deeper)';
  if (value instanceof Error) return renderError(value, depth);
  if (value instanceof Map) return renderObject(Object.fromEntries([...value].map(([k, v]) => [String(k), v])), depth);
  const items = value instanceof Set ? [...value] : value;
  if (Array.isArray(items)) {
    const some = items.slice(0, MAX_ITEMS).map((item) => render(item, depth + 1));
    return items.length > MAX_ITEMS ? [...some, `(${items.length - MAX_ITEMS} more)`] : some;
  }
  const keys = Object.keys(value);
  const out: Record<string, unknown> = {};
  for (const key of keys.slice(0, MAX_ITEMS)) {
    const one = field(value, key, depth + 1);
    if (one !== undefined) out[cut(key)] = one;
  }
  if (keys.length > MAX_ITEMS) out['...'] = `(${keys.length - MAX_ITEMS} more)`;
  return out;
}

/** Name, message, code and where it happened; the stack on one line. */
function renderError(error: Error, depth: number): unknown {
  const { code, cause } = error as Error & { code?: unknown };
  const frames = String(error.stack ?? '')
    .split('\n')
    .filter((l) => l.startsWith('    at '))
    .slice(0, MAX_FRAMES);
  return {
    name: error.name,
    message: cut(String(error.message)),
    ...(code === undefined ? {} : { code: render(code, depth + 1) }),
    ...(cause === undefined ? {} : { cause: render(cause, depth + 1) }),
    ...(frames.length === 0 ? {} : { stack: frames.map((f) => f.slice('    at '.length)).join(' < ') }),
  };
}

const hex = (bytes: Uint8Array): string => {
  const shown = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, MAX_BYTES)).toString('hex');
  return bytes.length > MAX_BYTES ? `${shown}...(${bytes.length} bytes)` : shown;
};

const cut = (text: string): string => (text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}...(${text.length})` : text);

/* Implementation: a peer must not be able to make one event arbitrarily large */
const MAX_TEXT = 1_024;
const MAX_BYTES = 128;
const MAX_ITEMS = 64;
const MAX_DEPTH = 5;
const MAX_FRAMES = 8;
