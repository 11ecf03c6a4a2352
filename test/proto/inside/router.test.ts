import t from 'tap';
import { Router, type RouterConfig, type RouterOut } from '../../../src/proto/inside/router.js';
import { instant } from '../../../src/proto/machine.js';
import { ALL_NODES, formatIpv6, linkLocal, showPrefix6, UNSPECIFIED6 } from '../../../src/wire/ip/address6.js';
import { decodePacket6, encodePacket6, encodeUdp6, ICMPV6, UDP } from '../../../src/wire/ip/packet6.js';
import { fromHex } from '../../../src/wire/reader.js';

const OURS = linkLocal(fromHex('0000000000000001'));
const PEER = linkLocal(fromHex('0200000000000042'));

class Rig {
  now = 0;
  readonly router: Router;

  constructor(over: Partial<RouterConfig> = {}) {
    this.router = new Router({
      ours: OURS,
      peer: PEER,
      prefix: fromHex('20010db8000000420000000000000000'),
      mtu: 1_400,
      dns: [],
      domain: null,
      duid: fromHex('abcd'),
      random: () => Uint8Array.of(0x80, 0), // the middle of each interval
      ...over,
    });
  }

  tell(input: Parameters<Router['handle']>[1]): string[] {
    this.router.handle(instant(this.now), input);
    return this.drain();
  }

  hear(protocol: number, payload: string, source = PEER, destination = ALL_NODES): string[] {
    const packet = { source, destination, hopLimit: 255, protocol, payload: fromHex(payload) };
    return this.tell({ type: 'packet', data: encodePacket6(packet) });
  }

  dhcp(message: string, source = PEER, destinationPort = 547): string[] {
    const payload = encodeUdp6({ sourcePort: 546, destinationPort, data: fromHex(message) });
    const data = encodePacket6({ source, destination: ALL_NODES, hopLimit: 255, protocol: UDP, payload });
    return this.tell({ type: 'packet', data });
  }

  /** What it says until `ms`, with the time. */
  until(ms: number): string[] {
    const said: string[] = [];
    for (;;) {
      const next = this.router.nextTimeout();
      if (next === undefined || next > ms) break;
      this.now = next;
      this.router.handleTimeout(instant(this.now));
      said.push(...this.drain().map((text) => `${this.now} ${text}`));
    }
    this.now = ms;
    return said;
  }

  drain(): string[] {
    const said: string[] = [];
    for (let out = this.router.poll(); out !== undefined; out = this.router.poll()) said.push(words(out));
    return said;
  }
}

/** RA, NA S O ..., DHCPv6 7, with where it goes; every packet is from our link-local address with hop limit 255. */
function words(out: RouterOut): string {
  if (out.type === 'ignored') return `ignored ${out.ref}`;
  if (out.type !== 'packet') return `${out.type} ${showPrefix6(out.prefix)}`;
  const packet = decodePacket6(out.data);
  if (!packet.ok) return packet.why;
  const { source, destination, hopLimit, protocol, payload } = packet.value;
  if (formatIpv6(source) !== 'fe80::1' || hopLimit !== 255) return 'from elsewhere';
  const type =
    protocol === UDP
      ? `DHCPv6 ${payload[8]} ${payload[1]! + payload[0]! * 256}>${payload[3]! + payload[2]! * 256}`
      : payload[0] === 134
        ? 'RA'
        : `NA ${payload[4]!.toString(16)}`;
  return `${type} to ${formatIpv6(destination)}`;
}

t.test('RFC 4861 §6.2.4: three soon, then at random between 200 and 600 s', async (t) => {
  const rig = new Rig();
  t.equal(rig.router.nextTimeout(), undefined, 'nothing before the link is open');
  t.same(rig.tell({ type: 'start' }), ['RA to ff02::1']);
  t.same(rig.until(1_000_000), [
    '16000 RA to ff02::1',
    '32000 RA to ff02::1',
    '432000 RA to ff02::1',
    '832000 RA to ff02::1',
  ]);
  t.same(rig.tell({ type: 'stop' }), []);
  t.equal(rig.router.nextTimeout(), undefined);
});

t.test('RFC 4861 §6.2.6: a solicitation is answered within half a second, several by one', async (t) => {
  const rig = new Rig();
  rig.tell({ type: 'start' });
  rig.until(1_000);
  t.same(rig.hear(ICMPV6, '8500000000000000'), []);
  t.same(rig.hear(ICMPV6, '8500000000000000', UNSPECIFIED6), []);
  t.same(rig.until(15_000), ['1250 RA to ff02::1']);
  rig.until(15_900);
  rig.hear(ICMPV6, '8500000000000000');
  t.same(rig.until(17_000), ['16000 RA to ff02::1'], 'a periodic one is an answer too');
});

t.test('RFC 4861 §7.2.4: we are there; for others we do not speak', async (t) => {
  const rig = new Rig();
  const ask = (target: string) => `8700000000000000${target}`;
  t.same(rig.hear(ICMPV6, ask('fe800000000000000000000000000001')), ['NA e0 to fe80::200:0:0:42']);
  t.same(
    rig.hear(ICMPV6, ask('fe800000000000000000000000000001'), UNSPECIFIED6),
    ['NA a0 to ff02::1'],
    'it wants our address',
  );
  t.same(rig.hear(ICMPV6, ask('fe800000000000000200000000000042'), UNSPECIFIED6), [], 'RFC 4862 §5.4: its own');
});

t.test('DHCPv6: answered to the client’s link-local address; the delegated prefix is told of', async (t) => {
  const held: string[] = [];
  const delegation = {
    acquire: () => ({ prefix: 0x20010db8_01000000_00000000_00000000n, length: 56 }),
    release: () => void held.push('released'),
  };
  const rig = new Rig({ delegation, dns: [PEER] });
  t.same(rig.dhcp('0b123456'), ['DHCPv6 7 547>546 to fe80::200:0:0:42']);
  const request = '03123456 0001000101 00020002abcd 0019000c 000000070000000000000000';
  t.same(rig.dhcp(request), ['delegated 2001:db8:100::/56', 'DHCPv6 7 547>546 to fe80::200:0:0:42']);
  t.same(rig.until(7_200_000), ['7200000 withdrawn 2001:db8:100::/56'], 'the lease is a timer of the router');
  t.same(held, ['released']);
  rig.tell({ type: 'start' });
  rig.dhcp(request);
  t.equal(rig.router.nextTimeout(), 7_216_000, 'whichever comes first');
  t.same(rig.tell({ type: 'stop' }), ['withdrawn 2001:db8:100::/56']);
});

t.test('what is no question for us', async (t) => {
  const rig = new Rig();
  t.same(rig.tell({ type: 'packet', data: Uint8Array.of(0x60) }), ['ignored RFC 8200 §3']);
  t.same(rig.hear(ICMPV6, '8000000000000000'), ['ignored RFC 4861 §4']);
  t.same(rig.hear(UDP, '0222022300050000'), ['ignored RFC 768']);
  t.same(rig.dhcp('0b123456', PEER, 548), ['ignored RFC 8415 §13']);
  t.same(rig.dhcp('0b123456', linkLocal(fromHex('0200000000000043'))), ['ignored RFC 8415 §13']);
  t.same(rig.dhcp('02123456'), ['ignored RFC 8415 §16']);
});

t.test('an answer that is larger than the link is not sent: RFC 8200 §5', async (t) => {
  const request = '0b000001 0001 0002 0003';
  const server = fromHex('20010db8000000000000000000000053');
  const dns = (n: number) => new Rig({ mtu: 1_280, dns: new Array<Uint8Array>(n).fill(server) });
  // 40 and 8 of headers, 4 of the message, 6 each for the identifiers, 4 for the option.
  t.same(dns(75).dhcp(request), ['DHCPv6 7 547>546 to fe80::200:0:0:42'], '1268 octets');
  t.same(dns(76).dhcp(request), ['ignored RFC 8200 §5'], '1284 octets');
});
