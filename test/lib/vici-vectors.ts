/** Reads test/vectors/vici/*.txt: recorded VICI events in named parts. */
import { readFileSync } from 'node:fs';
import type { IkeEvent } from '../../src/io/ports.js';
import { type EventName, ikeEvent } from '../../src/io/vici-sa.js';

export interface Part {
  readonly name: string;
  readonly events: readonly IkeEvent[];
}

export function viciVectors(file: string): Part[] {
  const url = new URL(`../../../test/vectors/vici/${file}.txt`, import.meta.url);
  const parts: { name: string; events: IkeEvent[] }[] = [];
  for (const line of readFileSync(url, 'utf8').split('\n')) {
    if (line.startsWith('## ')) parts.push({ name: line.slice(3), events: [] });
    const [, name, json] = /^([a-z-]+) (\{.*)$/.exec(line) ?? [];
    if (name === undefined || json === undefined) continue;
    const event = ikeEvent(name as EventName, JSON.parse(json));
    if (!event) throw new Error(`${file}.txt: not a ${name} event: ${json.slice(0, 60)}`);
    parts.at(-1)?.events.push(event);
  }
  return parts;
}
