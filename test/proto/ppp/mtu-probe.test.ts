import t from 'tap';
import { lnsConfig } from '../../lib/ppp-pair.js';
import { Script } from '../../lib/ppp-script.js';

/** A link that is up, and a peer that answers probes of at most `carries` octets; 0: none. */
class Path {
  readonly s: Script;
  carries = 1500;
  /** Sizes probed. */
  readonly probed: number[] = [];
  /** `path-mtu 1280`, in order. */
  readonly said: string[] = [];
  #seen = 0;

  constructor(mtuProbeIntervalMs = 60_000, echoIntervalMs = 0) {
    this.s = new Script(lnsConfig({ mtuProbeIntervalMs, echoIntervalMs }));
    this.s.toUp();
  }

  watch(sizes: readonly number[]): this {
    this.s.tell({ type: 'probe-mtu', sizes });
    return this;
  }

  run(ms: number): this {
    const end = this.s.now + ms;
    while (this.s.now < end) {
      this.said.push(...this.s.wait(Math.min(100, end - this.s.now)).filter((w) => w.startsWith('path-mtu')));
      this.#answer();
    }
    return this;
  }

  #answer(): void {
    for (; this.#seen < this.s.outputs.length; this.#seen++) {
      const out = this.s.outputs[this.#seen]!;
      if (out.type !== 'frame' || out.data[2] !== 9) continue;
      const size = out.data.length - 2;
      if (out.whole === true) this.probed.push(size);
      const reply = Uint8Array.of(0xc0, 0x21, 10, out.data[3]!, 0, 8, 0, 0, 0, 0);
      if (size <= this.carries) this.said.push(...this.s.hear(reply));
    }
  }
}

const SIZES = [1400, 1306, 1194, 576];

t.test('RFC 8899 §5.2: a path that carries what was agreed on is asked once per interval', async (t) => {
  const path = new Path().watch(SIZES).run(3_000 + 3 * 60_000 + 200);
  t.same(path.probed, [1400, 1400, 1400, 1400]);
  t.same(path.said, []);
});

t.test('RFC 8899 §5.3: what no longer passes is replaced by the largest size that does', async (t) => {
  const path = new Path().watch(SIZES).run(10_000);
  path.carries = 1250;
  path.run(75_000);
  t.same(path.said, ['path-mtu 1194']);
  t.same(path.probed.slice(1, 6), [1400, 1400, 1306, 1194, 576], 'one, then all');
  t.same(path.probed.slice(6, 10), [1400, 1306, 1400, 1306], 'three tries of what was not answered');
  path.run(60_000);
  t.equal(path.probed.at(-1), 1194, 'the new size is the one that is confirmed');
  path.carries = 600;
  path.run(75_000);
  t.same(path.said, ['path-mtu 1194', 'path-mtu 576']);
});

t.test('one lost probe lowers nothing', async (t) => {
  const path = new Path().watch(SIZES).run(10_000);
  path.carries = 0;
  path.run(54_000);
  path.carries = 1500;
  path.run(60_000);
  t.same(path.said, []);
});

t.test('RFC 8899 §5.1.1: after ten minutes more is tried again', async (t) => {
  const path = new Path().watch(SIZES).run(10_000);
  path.carries = 1250;
  path.run(120_000);
  path.run(500_000);
  t.same(path.said, ['path-mtu 1194']);
  path.run(120_000);
  t.ok(path.probed.filter((size) => size === 1306).length > 3, 'tried, without success');
  t.same(path.said, ['path-mtu 1194']);
  path.carries = 1350;
  path.run(700_000);
  t.same(path.said, ['path-mtu 1194', 'path-mtu 1306']);
  path.carries = 1500;
  path.run(700_000);
  t.same(path.said, ['path-mtu 1194', 'path-mtu 1306', 'path-mtu 1400']);
  const { length } = path.probed;
  path.run(700_000);
  t.same([...new Set(path.probed.slice(length))], [1400], 'nothing above what was agreed on');
});

t.test('a peer that answers no padded Echo-Request is asked no more, and keeps its MTU', async (t) => {
  const path = new Path();
  path.carries = 0;
  path.watch(SIZES).run(600_000);
  t.equal(path.probed.length, 13);
  t.same(path.said, []);
});

t.test('a peer that answered once and then falls silent keeps its MTU: the keepalive decides', async (t) => {
  const path = new Path().watch(SIZES).run(10_000);
  path.carries = 0;
  path.run(300_000);
  t.same(path.said, []);
  t.ok(path.probed.length > 26, 'and is asked again');
});

t.test('a reply nobody asked for, twice, or late, is worth nothing', async (t) => {
  const path = new Path().watch(SIZES).run(10_000);
  for (let id = 0; id < 256; id++) path.s.hear(Uint8Array.of(0xc0, 0x21, 10, id, 0, 8, 0, 0, 0, 0));
  t.same(path.said, []);
  path.carries = 0;
  path.run(53_200);
  const late = path.s.outputs.findLast((o) => o.type === 'frame' && o.whole === true);
  path.run(20_000);
  path.s.hear(Uint8Array.of(0xc0, 0x21, 10, (late as { data: Uint8Array }).data[3]!, 0, 8, 0, 0, 0, 0));
  t.same(path.said, []);
});

t.test('not before LCP is open, not after it closed, not when it is off', async (t) => {
  const closed = new Script(lnsConfig({ mtuProbeIntervalMs: 1_000, echoIntervalMs: 0 }));
  closed.tell({ type: 'probe-mtu', sizes: SIZES });
  t.equal(closed.link.nextTimeout(), undefined);
  const off = new Path(0).watch(SIZES).run(100_000);
  t.same(off.probed, []);
  t.same(new Path().watch([]).run(100_000).probed, []);
  const path = new Path().watch(SIZES).run(10_000);
  path.s.hear('c021 01 77 0004');
  path.run(50_000);
  t.same(path.probed, [1400], 'LCP is negotiated anew');
});

t.test('probes and keepalive share the timer', async (t) => {
  const s = new Script(lnsConfig({ mtuProbeIntervalMs: 60_000, echoIntervalMs: 2_000, echoFailures: 100 }));
  s.toUp();
  s.tell({ type: 'probe-mtu', sizes: [100] });
  const data = '00'.repeat(92);
  t.same(
    s.wait(6_000).map((w) => w.replace(/magic=\w+/, 'magic')),
    ['LCP Echo-Request 2 magic', `LCP Echo-Request 3 magic ${data}`, 'LCP Echo-Request 4 magic'].concat(
      `LCP Echo-Request 5 magic ${data}`,
      'LCP Echo-Request 6 magic',
    ),
  );
});

t.test('identifiers come round: a keepalive that is answered is no answer to an older probe', async (t) => {
  // 256 packets are about the ten minutes between two searches for more.
  const path = new Path(60_000, 2_500).watch(SIZES);
  path.carries = 1250;
  path.run(2 * 3_600_000);
  t.same(path.said, ['path-mtu 1194']);
});
