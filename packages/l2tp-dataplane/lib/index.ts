// The native data plane behind the interface of types.ts; src/addon.cc is loaded at the first openDataplane().
import { createRequire } from 'node:module';
import * as check from './check.js';
import { DataplaneClosed, DataplaneError, failure } from './errors.js';
import type {
  ControlPacket,
  Dataplane,
  DataplaneOptions,
  FrameOptions,
  GlobalDrop,
  Listener,
  Path,
  SessionCounters,
  SessionSpec,
  SessionState,
  Upcall,
} from './types.js';

export type { ErrorCode } from './errors.js';
export { DataplaneClosed, DataplaneError } from './errors.js';
export * from './types.js';

/**
 * Starts the packet thread over duplicates of the TUN descriptors (which become non-blocking: the flag belongs to the
 * open file). Nothing is received until listen(). Keeps the process alive until close().
 * Throws DataplaneError.
 */
export function openDataplane(options: DataplaneOptions): Dataplane {
  return new NativeDataplane(options);
}

interface Failed {
  readonly errno: number;
  readonly syscall: string;
}

interface Native {
  start(
    options: check.CheckedOptions,
    onBatch: (upcalls: Upcall[], flushed: number[]) => void,
    onEnd: (fatal: Failed | undefined) => void,
  ): Failed | undefined;
  listen(listeners: readonly Listener[]): Failed | undefined;
  unlisten(): void;
  readonly listening: boolean;
  confirmMark(mark: number): void;
  forgetMark(mark: number): void;
  violations(mark: number): bigint;
  addSession(spec: SessionSpec, state: SessionState): Failed | undefined;
  updateSession(tunnelId: number, sessionId: number, state: SessionState): Failed | undefined;
  movePath(tunnelId: number, path: Path): void;
  removeSession(tunnelId: number, sessionId: number): SessionCounters | undefined;
  sessionCounters(tunnelId: number, sessionId: number): SessionCounters | undefined;
  globalCounters(): Partial<Record<GlobalDrop, bigint>>;
  sendControl(packets: readonly ControlPacket[]): void;
  sendFrame(tunnelId: number, sessionId: number, frame: Uint8Array, dontFragment: boolean): void;
  flush(id: number): void;
  /** Calls without an answer of the thread's wait for this, or for 63 more of them. */
  wake(): void;
  stop(): void;
}

let addon: { readonly Native: new () => Native } | undefined;

function load(): { readonly Native: new () => Native } {
  try {
    addon ??= createRequire(import.meta.url)('../build/Release/l2tp_dataplane.node') as typeof addon & {};
    return addon;
  } catch (error) {
    if ((error as { code?: string }).code !== 'MODULE_NOT_FOUND') throw error;
    throw new Error(
      'l2tp-dataplane: the native addon is not built: run "npx node-gyp rebuild" in the package directory',
    );
  }
}

function ok(failed: Failed | undefined, detail?: string): void {
  if (failed !== undefined) throw DataplaneError.of(failed.errno, failed.syscall, detail);
}

class NativeDataplane implements Dataplane {
  readonly #native: Native;
  readonly #options: DataplaneOptions;
  /** closing: close() was called, flushes still come; ended: the thread is gone. */
  #state: 'open' | 'closing' | 'ended' = 'open';
  readonly #flushes = new Map<number, { resolve: () => void; reject: (error: Error) => void }>();
  #nextFlush = 1;
  #wakes = false;
  #ended!: () => void;
  readonly #end = new Promise<void>((resolve) => {
    this.#ended = resolve;
  });

  constructor(options: DataplaneOptions) {
    const checked = check.checkOptions(options);
    if (typeof options.onUpcalls !== 'function' || typeof options.onError !== 'function') {
      throw failure('EINVAL', 'open', 'onUpcalls and onError must be functions');
    }
    this.#options = options;
    this.#native = new (load().Native)();
    ok(
      this.#native.start(
        checked,
        (upcalls, flushed) => this.#onBatch(upcalls, flushed),
        (fatal) => this.#onEnd(fatal),
      ),
    );
  }

  #onBatch(upcalls: readonly Upcall[], flushed: readonly number[]): void {
    for (const id of flushed) {
      this.#flushes.get(id)?.resolve();
      this.#flushes.delete(id);
    }
    if (upcalls.length > 0 && this.#state === 'open') this.#options.onUpcalls(upcalls);
  }

  #onEnd(fatal: Failed | undefined): void {
    this.#state = 'ended';
    for (const { reject } of this.#flushes.values()) reject(new DataplaneClosed());
    this.#flushes.clear();
    this.#ended();
    if (fatal !== undefined) this.#options.onError(DataplaneError.of(fatal.errno, fatal.syscall));
  }

  get #open(): Native {
    if (this.#state !== 'open') throw new DataplaneClosed();
    return this.#native;
  }

  /** For what the thread is told: it is woken once for all of that in one turn of the event loop. */
  get #told(): Native {
    const native = this.#open;
    if (!this.#wakes) {
      this.#wakes = true;
      setImmediate(() => {
        this.#wakes = false;
        if (this.#state !== 'ended') native.wake();
      });
    }
    return native;
  }

  listen(listeners: readonly Listener[]): void {
    const native = this.#open;
    const checked = check.checkListeners(listeners);
    ok(native.listen(checked), checked.map((l) => `${l.address} port ${l.port}`).join(', '));
  }

  unlisten(): void {
    this.#open.unlisten();
  }

  get listening(): boolean {
    return this.#open.listening;
  }

  confirmMark(mark: number): void {
    this.#told.confirmMark(check.checkMark('confirmMark', mark));
  }

  forgetMark(mark: number): void {
    this.#told.forgetMark(check.checkMark('forgetMark', mark));
  }

  addSession(spec: SessionSpec, state: SessionState = {}): void {
    ok(this.#told.addSession(check.checkSpec(spec), check.checkState('addSession', state)));
  }

  updateSession(tunnelId: number, sessionId: number, state: SessionState): void {
    const native = this.#told;
    check.checkIds('updateSession', tunnelId, sessionId);
    ok(native.updateSession(tunnelId, sessionId, check.checkState('updateSession', state)));
  }

  movePath(tunnelId: number, path: Path): void {
    this.#told.movePath(check.checkId('movePath', 'tunnelId', tunnelId), check.checkPath('movePath', path));
  }

  removeSession(tunnelId: number, sessionId: number): SessionCounters | undefined {
    const native = this.#told;
    check.checkIds('removeSession', tunnelId, sessionId);
    return native.removeSession(tunnelId, sessionId);
  }

  sessionCounters(tunnelId: number, sessionId: number): SessionCounters | undefined {
    const native = this.#open;
    check.checkIds('sessionCounters', tunnelId, sessionId);
    return native.sessionCounters(tunnelId, sessionId);
  }

  violations(mark: number): bigint {
    const native = this.#open;
    return native.violations(check.checkMark('violations', mark));
  }

  globalCounters(): Readonly<Partial<Record<GlobalDrop, bigint>>> {
    return this.#open.globalCounters();
  }

  sendControl(packets: readonly ControlPacket[]): void {
    const native = this.#told;
    if (packets.length > 0) native.sendControl(check.checkDatagrams(packets));
  }

  sendFrame(tunnelId: number, sessionId: number, frame: Uint8Array, options: FrameOptions = {}): void {
    const native = this.#told;
    check.checkIds('sendFrame', tunnelId, sessionId);
    native.sendFrame(tunnelId, sessionId, check.checkFrame(frame), options.dontFragment === true);
  }

  async flush(): Promise<void> {
    const native = this.#told;
    const id = this.#nextFlush;
    this.#nextFlush = id === 0xffff_ffff ? 1 : id + 1;
    const done = new Promise<void>((resolve, reject) => this.#flushes.set(id, { resolve, reject }));
    native.flush(id);
    await done;
  }

  async close(): Promise<void> {
    if (this.#state === 'open') {
      this.#state = 'closing';
      this.#native.stop();
    }
    await this.#end;
  }
}
