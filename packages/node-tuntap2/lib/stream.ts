/** A queue as a Duplex of packets. Read the "backpressuring in streams" guide of Node.js first. */
import { Duplex } from 'node:stream';
import { READABLE, WRITABLE } from './driver.js';
import { invalid } from './errors.js';
import { show } from './options.js';

/** What the stream needs of its queue. */
export interface StreamPort {
  read(max: number): Uint8Array[];
  write(packets: readonly Uint8Array[]): number;
  watch(events: number, callback: (events: number) => void): void;
  /** The stream is gone: another may be opened. */
  release(): void;
}

/** Packets buffered on either side before backpressure. Beyond it they wait, and then drop, in the kernel's own queue. */
const HIGH_WATER_MARK = 64;

type Done = (error?: Error | null) => void;

/**
 * Object mode on both sides, since a byte stream may join packets. Readable side: reads only when asked (`_read`), so a
 * paused consumer leaves packets to the kernel. Writable side: a device that would block holds back `callback`.
 */
export class PacketStream extends Duplex {
  readonly #port: StreamPort;
  readonly #onReady = (events: number): void => this.#ready(events);
  #wanted = false;
  #ended = false;
  #blocked: { packets: Uint8Array[]; done: Done } | undefined;
  #armed = 0;

  constructor(port: StreamPort) {
    super({ objectMode: true, highWaterMark: HIGH_WATER_MARK });
    this.#port = port;
  }

  /** The device was closed: what was read is still delivered, then the end; a write under way fails. */
  deviceClosed(): void {
    this.#ended = true;
    this.#armed = 0;
    if (this.destroyed) return;
    const blocked = this.#blocked;
    this.#blocked = undefined;
    if (blocked !== undefined) this.#send(blocked.packets, blocked.done);
    if (this.destroyed) return;
    this.push(null);
    this.end();
  }

  override _read(): void {
    this.#wanted = true;
    this.#arm();
  }

  override _write(packet: unknown, _encoding: BufferEncoding, done: Done): void {
    this.#submit([packet], done);
  }

  override _writev(chunks: { chunk: unknown }[], done: Done): void {
    const packets = chunks.map(({ chunk }) => chunk);
    this.#submit(packets, done);
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#wanted = false;
    this.#blocked = undefined;
    if (!this.#ended) this.#arm();
    this.#port.release();
    done(error);
  }

  #submit(packets: unknown[], done: Done): void {
    const odd = packets.find((packet) => !(packet instanceof Uint8Array));
    if (odd !== undefined) done(invalid('stream.write', `packet: ${show(odd)} is not a Uint8Array`));
    else this.#send(packets as Uint8Array[], done);
  }

  #send(packets: Uint8Array[], done: Done): void {
    try {
      const taken = this.#port.write(packets);
      if (taken < packets.length) {
        this.#blocked = { packets: packets.slice(taken), done };
        this.#arm();
        return;
      }
    } catch (error) {
      done(error as Error);
      return;
    }
    done();
  }

  #ready(events: number): void {
    if ((events & WRITABLE) !== 0 && this.#blocked !== undefined) {
      const { packets, done } = this.#blocked;
      this.#blocked = undefined;
      this.#send(packets, done);
    }
    if ((events & READABLE) !== 0 && this.#wanted) this.#fill();
    if (!this.#ended) this.#arm();
  }

  #fill(): void {
    try {
      const room = Math.max(1, this.readableHighWaterMark - this.readableLength);
      const packets = this.#port.read(room);
      if (packets.length === 0) return;
      let more = true;
      this.#wanted = false; // push() may come back through _read() and want more
      for (const packet of packets) {
        more = this.push(packet);
        // ... or through a consumer that closes the device or destroys the stream.
        if (this.#ended || this.destroyed) return;
      }
      if (more) this.#wanted = true;
    } catch (error) {
      this.destroy(error as Error);
    }
  }

  #arm(): void {
    const events = (this.#wanted ? READABLE : 0) | (this.#blocked === undefined ? 0 : WRITABLE);
    if (events === this.#armed || this.#ended) return;
    this.#armed = events;
    this.#port.watch(events, this.#onReady);
  }
}
