/** Public captures (test/captures/README.md), decoded and sent to a gateway in the middle of its work: malformed ones change nothing. */
import t from 'tap';
import { decodeFrame, PROTOCOL } from '../../src/wire/ppp/frame.js';
import { fromHex } from '../../src/wire/reader.js';
import { capture } from '../lib/pcap.js';
import { lnsConfig } from '../lib/ppp-pair.js';
import { Script } from '../lib/ppp-script.js';
import { describeFrame } from '../lib/ppp-text.js';
import { pair } from './pair.js';
import { win11 } from './win11.js';

const ONE = { tunnels: 1, sessions: 1, leased: 1, plane: 1 };

/** A session that is up, and everything that was said to its client since. */
async function live() {
  const { rig, client } = pair(win11, { quirks: { dhcpInforms: 0 } });
  client.dial();
  await rig.run(5_000);
  t.ok(client.up);
  const heard = () => client.received.length + client.framesReceived.length;
  return { rig, client, heard };
}

/** IP protocol 47, GRE with PPP (RFC 2637 §4): the PPP frames. */
const pptp = (file: string): Uint8Array[] =>
  capture(file).packets.flatMap(({ network }) => {
    if (network[9] !== 47) return [];
    const gre = network.subarray((network[0]! & 15) * 4);
    const header = 8 + (gre[0]! & 0x10 ? 4 : 0) + (gre[1]! & 0x80 ? 4 : 0);
    const length = (gre[4]! << 8) | gre[5]!;
    return length > 0 ? [gre.subarray(header, header + length)] : [];
  });

/** PPPoE session data (RFC 2516 §4): the PPP frames. */
const pppoe = (file: string): { readonly from: string; readonly frame: Uint8Array }[] =>
  capture(file).packets.flatMap(({ data, network }) => {
    const ethertype = (data[12]! << 8) | data[13]!;
    if (ethertype !== 0x8864) return [];
    const length = (network[4]! << 8) | network[5]!;
    return [{ from: Buffer.from(data.subarray(6, 12)).toString('hex'), frame: network.subarray(6, 6 + length) }];
  });

t.test('l2tp-malformed-avps.pcap: AVPs beyond the packet, too short ones', async (t) => {
  const { rig, client, heard } = await live();
  const before = heard();
  const datagrams = capture('l2tp-malformed-avps.pcap').packets.flatMap(({ udp }) => (udp ? [udp.payload] : []));
  t.ok(datagrams.length >= 5, `${datagrams.length} packets`);
  for (const datagram of datagrams) {
    rig.arrive(client.path, datagram);
    // And as if for the tunnel that is up, with numbers that fit.
    const aimed = Uint8Array.from(datagram);
    aimed.set(fromHex('c802'), 0);
    aimed.set(
      [aimed.length >> 8, aimed.length & 255, client.session!.peerTunnelId >> 8, client.session!.peerTunnelId & 255],
      2,
    );
    if (aimed.length >= 12) aimed.set([0x7f, 0xff], 8);
    rig.arrive(client.path, aimed);
  }
  await rig.run(20_000);
  t.strictSame(rig.left, ONE);
  t.ok(client.up);
  t.equal(heard(), before, 'and nothing is answered');
});

t.test(
  'l2tp-data-offset-priority-lcp-echo.pcap: O and P set, an Echo-Request inside, answered when it is ours',
  async (t) => {
    const [packet] = capture('l2tp-data-offset-priority-lcp-echo.pcap').packets;
    // L2TP's version and flags, then its UDP header before it, somewhere behind PPPoE.
    const at = Buffer.from(packet!.data).indexOf(Buffer.from('03024a32d35e', 'hex'));
    t.ok(at > 0);
    const datagram = Uint8Array.from(packet!.data.subarray(at));
    const { rig, client } = await live();
    rig.arrive(client.path, datagram);
    await rig.run(1_000);
    t.equal(client.framesReceived.filter((f) => f[2] === 10).length, 0, 'of no session of ours');
    const { peerTunnelId, peerSessionId } = client.session!;
    datagram.set([peerTunnelId >> 8, peerTunnelId & 255, peerSessionId >> 8, peerSessionId & 255], 2);
    rig.arrive(client.path, datagram);
    await rig.run(1_000);
    t.equal(client.framesReceived.filter((f) => f[2] === 10).length, 1, 'Echo-Reply, without O and P');
    t.strictSame(client.complaints, []);
  },
);

t.test('windows2000-pptp-lcp.pcap: the LCP request of a Windows 2000, and what it is answered', async (t) => {
  const requests = pptp('windows2000-pptp-lcp.pcap').filter((f) =>
    Buffer.from(f).toString('hex').startsWith('ff03c02101'),
  );
  t.ok(requests.length > 0);
  const s = new Script(lnsConfig());
  s.tell({ type: 'lower-up' });
  t.match(s.hear(requests[0]!).at(-1), /^LCP Configure-Reject 0 <callback 6> <mrru 1614> <endpoint 1 29f76a90/);
});

t.test('ppp-lcp-chap-md5-ipcp-cdpcp.cap: CDPCP of Cisco gets a Protocol-Reject, the rest its answer', async (t) => {
  const frames = capture('ppp-lcp-chap-md5-ipcp-cdpcp.cap').packets.map((p) => p.network);
  const s = new Script(lnsConfig());
  s.toUp();
  const cdpcp = frames.find((f) => decoded(f)?.protocol === PROTOCOL.cdpcp);
  t.match(s.hear(cdpcp!).at(-1), /^LCP Protocol-Reject \d+ CDPCP/);
  const echo = frames.find((f) => decoded(f)?.protocol === PROTOCOL.lcp && decoded(f)!.information[0] === 9);
  t.match(s.hear(echo!).at(-1), /^LCP Echo-Reply 1/);
  // A Cisco cannot be authenticated by us and demands that we are: RFC 1661 §5.4.
  const request = frames.find((f) => describeFrame(f).startsWith('LCP Configure-Request'));
  const fresh = new Script(lnsConfig());
  fresh.tell({ type: 'lower-up' });
  t.match(fresh.hear(request!).at(-1), /^LCP Configure-Reject 1 <auth CHAP MD5>/);
});

t.test('pppoe-pap-ipcp-ipv6cp-dhcpv6.cap: MRU, PAP, IPCP and IPV6CP side by side', async (t) => {
  const all = pppoe('pppoe-pap-ipcp-ipv6cp-dhcpv6.cap');
  t.ok(all.length > 20, `${all.length} frames`);
  for (const { frame } of all) t.notMatch(describeFrame(frame), /^malformed/);
  // The side that says who it is (PAP Authenticate-Request) is the client: its frames, in their order.
  const client = all.find(({ frame }) => describeFrame(frame).startsWith('PAP Authenticate-Request'))!.from;
  const s = new Script(lnsConfig({ auth: ['pap'] }));
  s.tell({ type: 'lower-up' });
  const said: string[] = [];
  for (const { from, frame } of all) {
    if (from !== client) continue;
    said.push(...s.hear(frame));
    if (describeFrame(frame).startsWith('LCP Configure-Request')) said.push(...s.ackLast('c021'));
  }
  t.ok(said.some((line) => line.startsWith('authenticate pap')));
  t.ok(
    said.some((line) => line.startsWith('PAP Authenticate-Nak')),
    'a user we do not know',
  );
});

t.test('ppp-malformed-lengths.pcap: options beyond the packet: noted, and nothing else', async (t) => {
  const { packets } = capture('ppp-malformed-lengths.pcap');
  t.ok(packets.length > 0);
  const { rig, client, heard } = await live();
  const before = heard();
  let malformed = 0;
  // Whatever encapsulation it is, from every octet that may begin a frame of LCP or IPCP.
  for (const { data } of packets)
    for (const start of ['c021', '8021']) {
      const at = Buffer.from(data).indexOf(Buffer.from(start, 'hex'));
      if (at < 0) continue;
      const frame = data.subarray(at);
      if (!/malformed/.test(describeFrame(frame))) continue;
      malformed += 1;
      const { peerTunnelId, peerSessionId } = client.session!;
      const ids = [peerTunnelId >> 8, peerTunnelId & 255, peerSessionId >> 8, peerSessionId & 255];
      rig.arrive(client.path, Uint8Array.of(0x00, 0x02, ...ids, 0xff, 0x03, ...frame));
    }
  t.ok(malformed > 0, `${malformed} malformed frames`);
  await rig.run(1_000);
  t.strictSame(rig.left, ONE);
  t.equal(heard(), before);
});

const decoded = (frame: Uint8Array) => {
  const d = decodeFrame(frame);
  return d.ok ? d.value : undefined;
};
