import t from 'tap';
import { defaults } from '../../../src/proto/l2tp/config.js';
import {
  fullCycleMs,
  MAX_HELD_BODY,
  MAX_QUEUED,
  type Outgoing,
  ReliableChannel,
} from '../../../src/proto/l2tp/reliable.js';
import { instant } from '../../../src/proto/machine.js';

const body = (n = 1) => Uint8Array.of(n);
const EMPTY = new Uint8Array(0);

/** A channel with a log of what it transmits: `3/0` is Ns/Nr, `zlb 3/0` a ZLB. */
function channel(receiveWindow = 4, retransmit = defaults.retransmit) {
  const log: string[] = [];
  const c = new ReliableChannel(retransmit, receiveWindow, ({ Ns, Nr, body: b }: Outgoing) => {
    log.push(`${b.length === 0 ? 'zlb ' : ''}${Ns}/${Nr}`);
  });
  let now = instant(0);
  const took = () => log.splice(0);
  return {
    c,
    took,
    at: (ms: number) => {
      now = instant(ms);
    },
    send: (n = 1) => {
      for (let i = 0; i < n; i++) c.send(0, body(i));
      c.flush(now);
      return took();
    },
    /** A ZLB with this Nr. */
    ack: (Nr: number) => {
      const { kind } = c.receive(now, 0, 0, Nr, EMPTY);
      c.flush(now);
      return [kind, ...took()];
    },
    /** A message; the kind, the first octets delivered, and what is sent. */
    get: (Ns: number, Nr = 0) => {
      const got = c.receive(now, 0, Ns, Nr, body(Ns & 0xff));
      c.flush(now);
      const delivered = got.kind === 'delivered' ? got.messages.map((m) => m.body[0]) : [];
      return [got.kind, ...delivered, ...took()];
    },
    timeout: () => {
      const result = c.handleTimeout(now);
      return [...(result ? [result] : []), ...took()];
    },
  };
}

t.test('§5.8: retransmissions after 1, 2, 4, 8, 8 s, then the peer is lost: 31 s in all (§5.7)', async (t) => {
  const ch = channel();
  t.strictSame(ch.send(), ['0/0']);
  const times: number[] = [];
  for (;;) {
    const at = ch.c.nextTimeout()!;
    times.push(at);
    ch.at(at - 1);
    t.strictSame(ch.timeout(), [], 'early is a no-op');
    ch.at(at);
    const [what] = ch.timeout();
    if (what === 'lost') break;
    t.equal(what, '0/0');
  }
  t.strictSame(times, [1_000, 3_000, 7_000, 15_000, 23_000, 31_000]);
  t.equal(fullCycleMs(defaults.retransmit), 31_000);
});

t.test('§5.8: a retransmission carries the Nr of now', async (t) => {
  const ch = channel();
  ch.send();
  t.strictSame(ch.get(0), ['delivered', 0, 'zlb 1/1']);
  ch.at(1_000);
  t.strictSame(ch.timeout(), ['0/1']);
});

t.test('§5.8: numbers wrap at 65535, both ways', async (t) => {
  const ch = channel();
  for (let i = 0; i < 65_540; i++) {
    const Ns = i & 0xffff;
    const next = (i + 1) & 0xffff;
    ch.c.send(0, body());
    ch.c.flush(instant(0));
    if (ch.took()[0] !== `${Ns}/${Ns}`) t.fail(`sent at ${i}`);
    const got = ch.c.receive(instant(0), 0, Ns, next, body());
    if (got.kind !== 'delivered') t.fail(`received at ${i}`);
    ch.c.flush(instant(0));
    if (ch.took()[0] !== `zlb ${next}/${next}`) t.fail(`acknowledged at ${i}`);
  }
  t.ok(ch.c.idle);
  t.strictSame(ch.get(65_535, 4), ['duplicate', 'zlb 4/4'], 'before the wrap: seen');
  t.strictSame(ch.get(5, 4), ['held'], 'after it: ahead');
});

t.test("§5.8: the RFC's duplicates: last received 15, then 0..15 and 32784..65535", async (t) => {
  const ch = channel();
  for (let Ns = 0; Ns <= 15; Ns++) ch.get(Ns);
  for (const Ns of [0, 15, 32_784, 65_535]) t.strictSame(ch.get(Ns), ['duplicate', 'zlb 0/16'], `${Ns}`);
  t.strictSame(ch.get(32_783), ['invalid'], '32783 is not');
});

t.test('§5.8 MUST: duplicates are acknowledged, by the next message when there is one', async (t) => {
  const ch = channel();
  ch.get(0);
  t.strictSame(ch.get(0), ['duplicate', 'zlb 0/1']);
  ch.c.receive(instant(0), 0, 0, 0, body());
  t.strictSame(ch.send(), ['0/1'], 'piggybacked, no ZLB');
});

t.test('§5.8: out of order within the window is held and delivered in order, once; beyond it is dropped', async (t) => {
  const ch = channel(4);
  t.strictSame(ch.get(2), ['held']);
  t.strictSame(ch.get(2), ['held'], 'twice: once');
  t.strictSame(ch.get(1), ['held']);
  t.strictSame(ch.get(4), ['invalid'], 'window 4: 0..3');
  t.strictSame(ch.get(0), ['delivered', 0, 1, 2, 'zlb 0/3']);
  t.strictSame(ch.get(3), ['delivered', 3, 'zlb 0/4']);
});

t.test('§5.8 MAY: a large message is not held; in its turn it is taken as any other', async (t) => {
  const ch = channel();
  const largest = new Uint8Array(MAX_HELD_BODY);
  const larger = new Uint8Array(MAX_HELD_BODY + 1);
  t.strictSame(ch.c.receive(instant(0), 0, 1, 0, largest), { kind: 'held' });
  t.strictSame(ch.c.receive(instant(0), 0, 2, 0, larger), { kind: 'early' });
  ch.c.flush(instant(0));
  t.strictSame(ch.took(), [], 'nothing to acknowledge');
  t.strictSame(ch.get(0), ['delivered', 0, 0, 'zlb 0/2'], 'as if 2 had been lost');
  t.match(ch.c.receive(instant(0), 0, 2, 0, larger), { kind: 'delivered', messages: [{ body: larger }] });
  ch.c.flush(instant(0));
  t.strictSame(ch.took(), ['zlb 0/3']);
});

t.test('a held message is copied: the datagram buffer is reused', async (t) => {
  const { c } = channel();
  const buffer = Buffer.of(9);
  c.receive(instant(0), 0, 1, 0, buffer);
  buffer[0] = 0;
  const got = c.receive(instant(0), 0, 0, 0, body());
  t.match(got, { messages: [{ body: Uint8Array.of(1) }, { body: Uint8Array.of(9) }] });
});

t.test('§5.8: a ZLB takes no number, its Ns says nothing, and it is not acknowledged', async (t) => {
  const ch = channel();
  ch.send();
  t.strictSame(ch.c.receive(instant(0), 0, 40_000, 1, EMPTY), { kind: 'zlb' });
  ch.c.flush(instant(0));
  t.strictSame(ch.took(), []);
  t.ok(ch.c.idle);
  t.strictSame(ch.send(), ['1/0'], 'Nr did not move');
});

t.test('an Nr beyond what was sent is not believed; an old one is harmless', async (t) => {
  const ch = channel();
  ch.send();
  t.strictSame(ch.ack(2), ['invalid']);
  t.strictSame(ch.get(0, 2), ['invalid'], 'and the message with it is dropped');
  t.notOk(ch.c.idle);
  t.strictSame(ch.ack(1), ['zlb']);
  t.strictSame(ch.ack(0), ['zlb'], 'reordered');
  t.ok(ch.c.idle);
});

t.test('Appendix A: slow start doubles per round trip up to the peer window', async (t) => {
  const ch = channel();
  ch.c.setPeerWindow(8);
  t.strictSame(ch.send(20), ['0/0'], 'CWND starts at 1');
  t.strictSame(ch.ack(1), ['zlb', '1/0', '2/0']);
  t.strictSame(ch.ack(2), ['zlb', '3/0', '4/0']);
  t.strictSame(ch.ack(3), ['zlb', '5/0', '6/0'], 'one acknowledged, one more allowed');
  for (const Nr of [4, 5, 6, 7]) ch.ack(Nr);
  t.strictSame(ch.ack(8), ['zlb', '15/0'], 'at 8: the window of the peer');
});

t.test('Appendix A: after a retransmission CWND is 1, SSTHRESH half, then congestion avoidance', async (t) => {
  const ch = channel();
  ch.c.setPeerWindow(8);
  ch.send(40);
  for (let Nr = 1; Nr <= 7; Nr++) ch.ack(Nr);
  ch.at(1_000);
  t.strictSame(ch.timeout(), ['7/0'], 'only the oldest is retransmitted');
  t.strictSame(ch.ack(8), ['zlb', '8/0', '9/0'], 'CWND 2');
  t.strictSame(ch.ack(9), ['zlb', '10/0', '11/0'], 'CWND 3');
  t.strictSame(ch.ack(10), ['zlb', '12/0', '13/0'], 'CWND 4 = SSTHRESH');
  t.strictSame(ch.ack(11), ['zlb', '14/0'], 'avoidance: 4 acknowledgements per step');
  for (const Nr of [12, 13]) t.equal(ch.ack(Nr).length, 2);
  t.strictSame(ch.ack(14), ['zlb', '17/0', '18/0'], 'CWND 5');
});

t.test('an acknowledgement may jump over what was to be sent again', async (t) => {
  const ch = channel();
  ch.send(8);
  ch.ack(1);
  ch.ack(2);
  ch.at(1_000);
  ch.timeout();
  t.strictSame(ch.ack(5), ['zlb', '5/0', '6/0'], 'the peer had held 3 and 4');
});

t.test('a window of 1: stop and wait, the ZLB at once (Android)', async (t) => {
  const ch = channel();
  ch.send();
  ch.ack(1);
  ch.c.setPeerWindow(1);
  t.strictSame(ch.send(3), ['1/0']);
  t.strictSame(ch.get(0, 1), ['delivered', 0, 'zlb 2/1']);
  t.strictSame(ch.ack(2), ['zlb', '2/1']);
  t.strictSame(ch.ack(3), ['zlb', '3/1']);
});

t.test('dropUnsent keeps what is in flight, stopSending keeps nothing but acknowledges', async (t) => {
  const ch = channel();
  ch.send(4);
  ch.c.dropUnsent();
  t.notOk(ch.c.idle);
  t.strictSame(ch.ack(1), ['zlb']);
  t.ok(ch.c.idle);
  ch.send(2);
  ch.c.stopSending();
  t.ok(ch.c.idle);
  t.equal(ch.c.nextTimeout(), undefined);
  t.strictSame(ch.get(0, 1), ['delivered', 0, 'zlb 3/1']);
});

t.test('a peer that makes us talk and does not listen fills a bounded queue', async (t) => {
  const ch = channel();
  ch.send(MAX_QUEUED);
  t.notOk(ch.c.overfull);
  ch.send();
  t.ok(ch.c.overfull);
});
