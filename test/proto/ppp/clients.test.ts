import t from 'tap';
import { lnsConfig } from '../../lib/ppp-pair.js';
import { Script } from '../../lib/ppp-script.js';

const OURS = 'LCP Configure-Request 1 <mru 1400> <auth CHAP MS-v2> <magic>';
const SUCCESS = 'CHAP Success "S= M=Access granted"';

t.test(
  'Windows 11: LCP id 0 with CBCP callback, three Identifications, IPV6CP, CCP and IPCP in one burst',
  async (t) => {
    const s = new Script(lnsConfig());
    t.same(s.tell({ type: 'lower-up' }), [OURS]);
    t.same(s.hear('ff03 c021 0100 0015 01040578 0506 6f3d17a2 0702 0802 0d0306'), [
      'LCP Configure-Reject 0 <callback 6>',
    ]);
    t.same(s.hear('ff03 c021 0101 0012 01040578 0506 6f3d17a2 0702 0802'), [
      'LCP Configure-Ack 1 <mru 1400> <magic> <pcomp> <accomp>',
    ]);
    // It leaves our first Configure-Request unanswered and acknowledges the retransmission.
    t.same(s.wait(1000), [OURS]);
    t.same(s.ackLast('c021'), ['lcp-up mru=1400 acfc pfc', 'CHAP Challenge value name="lockstep"']);
    // RFC 1570 §1.1: ignored but for the log; no Code-Reject.
    t.same(s.hear('ff03 c021 0c02 0012 6f3d17a2 4d535241535635 2e3230'), ['note lcp.identification MSRASV5.20']);
    t.same(s.hear('ff03 c021 0c03 0017 6f3d17a2 4d535241532d302d4445534b544f50'), [
      'note lcp.identification MSRAS-0-DESKTOP',
    ]);
    t.same(s.hear('ff03 c021 0c04 0018 6f3d17a2 000102030405060708090a0b0c0d0e0f'), ['note lcp.identification ']);
    t.same(s.hear(s.msChapV2('CORP\\alice', 'wonderland')), [
      'authenticate mschapv2 CORP\\alice',
      SUCCESS,
      'IPCP Configure-Request 1 <addr 10.64.0.1>',
    ]);
    t.same(s.hear('8057 0105 000e 010a 0123456789abcdef'), [
      'note ppp.unknown-protocol IPV6CP',
      'LCP Protocol-Reject 2 IPV6CP 0105000e010a0123456789abcdef',
    ]);
    t.same(s.hear('80fd 0106 000a 1206 01000000'), [
      'note ppp.unknown-protocol CCP',
      'LCP Protocol-Reject 3 CCP 0106000a120601000000',
    ]);
    t.same(s.hear('8021 0107 0022 030600000000 810600000000 820600000000 830600000000 840600000000'), [
      'IPCP Configure-Reject 7 <nbns1 0.0.0.0> <nbns2 0.0.0.0>',
    ]);
    t.same(s.ackLast('8021'), []);
    t.same(s.hear('8021 0108 0016 030600000000 810600000000 830600000000'), [
      'IPCP Configure-Nak 8 <addr 10.64.0.7> <dns1 10.64.0.53> <dns2 10.64.0.54>',
    ]);
    t.same(s.hear('8021 0109 0016 03060a400007 81060a400035 83060a400036'), [
      'ip-open 10.64.0.7',
      'IPCP Configure-Ack 9 <addr 10.64.0.7> <dns1 10.64.0.53> <dns2 10.64.0.54>',
      'up alice 10.64.0.7',
    ]);
    t.same(s.hear('c021 050a 0010 6f3d17a2 003ccd74 00000000'), ['ip-close', 'LCP Terminate-Ack 10']);
    t.same(s.wait(3000), ['down peer: the client disconnected']);
  },
);

t.test('Windows 7 with multilink: MRRU and callback rejected, the endpoint discriminator too', async (t) => {
  const s = new Script(lnsConfig());
  s.tell({ type: 'lower-up' });
  t.same(
    s.hear('ff03c021 0100002c 0506021952cf 0702 0802 0d0306 1104064e 131701 29f76a9077f1472c835247f271d656070000000c'),
    ['LCP Configure-Reject 0 <callback 6> <mrru 1614> <endpoint 1 29f76a9077f1472c835247f271d656070000000c>'],
  );
});

t.test('macOS, iOS: asyncmap 0; ACSCP is Protocol-Rejected; IPCP asks for address and DNS', async (t) => {
  const s = new Script(lnsConfig());
  s.tell({ type: 'lower-up' });
  t.same(s.hear('ff03 c021 0101 0014 0206 00000000 0506 1a2b3c4d 0702 0802'), [
    'LCP Configure-Ack 1 <asyncmap 0x00000000> <magic> <pcomp> <accomp>',
  ]);
  s.ackLast('c021');
  t.match(s.find('lcp-up'), { mru: 1500 }, 'no MRU option: RFC 1661 §6.1');
  t.same(s.hear('c021 0902 0008 1a2b3c4d'), [`LCP Echo-Reply 2 magic=${magicOf(s)}`]);
  s.hear(s.msChapV2('alice', 'wonderland'));
  t.same(s.hear('8235 0101 0010 0106 00000001 0206 00000001'), [
    'note ppp.unknown-protocol ACSCP',
    'LCP Protocol-Reject 2 ACSCP 01010010010600000001020600000001',
  ]);
  t.same(s.hear('8021 0101 0016 030600000000 810600000000 830600000000'), [
    'IPCP Configure-Nak 1 <addr 10.64.0.7> <dns1 10.64.0.53> <dns2 10.64.0.54>',
  ]);
  s.ackLast('8021');
  t.equal(s.hear('8021 0102 0016 03060a400007 81060a400035 83060a400036').at(-1), 'up alice 10.64.0.7');
});

t.test('Apple with everything rejected comes back with an empty request, which is acknowledged', async (t) => {
  const s = new Script(lnsConfig());
  s.tell({ type: 'lower-up' });
  t.same(s.hear('c021 0102 0004'), ['LCP Configure-Ack 2']);
});

t.test('Android: VJ and then CCP, neither disturbs IPCP', async (t) => {
  const s = new Script(lnsConfig());
  s.tell({ type: 'lower-up' });
  t.same(s.hear('ff03 c021 0101 0018 01040578 0206 00000000 0506 1a2b3c4d 0702 0802'), [
    'LCP Configure-Ack 1 <mru 1400> <asyncmap 0x00000000> <magic> <pcomp> <accomp>',
  ]);
  s.ackLast('c021');
  s.hear(s.msChapV2('alice', 'wonderland'));
  t.same(
    s.hear('80fd 0101 000f 1a0478 00 1804 7800 1503 2f').at(-1),
    'LCP Protocol-Reject 2 CCP 0101000f1a0478001804780015032f',
  );
  t.same(s.hear('8021 0101 001c 0206002d0f01 030600000000 810600000000 830600000000'), [
    'IPCP Configure-Reject 1 <compress VJ 0f01>',
  ]);
  t.same(s.hear('8021 0102 0016 030600000000 810600000000 830600000000').length, 1);
  t.same(s.hear('8021 0103 0016 03060a400007 81060a400035 83060a400036'), [
    'ip-open 10.64.0.7',
    'IPCP Configure-Ack 3 <addr 10.64.0.7> <dns1 10.64.0.53> <dns2 10.64.0.54>',
  ]);
  t.same(s.ackLast('8021'), ['up alice 10.64.0.7']);
});

t.test('xl2tpd with pppd, `require chap` and no MS-CHAP: Nak to CHAP-MD5', async (t) => {
  const s = new Script(lnsConfig());
  s.tell({ type: 'lower-up' });
  s.hear('ff03 c021 0101 0018 01040582 0206 00000000 0506 1a2b3c4d 0702 0802');
  t.same(s.hear(s.reply('c021', 0x03, '0305c22305')), ['LCP Configure-Request 2 <mru 1400> <auth CHAP MD5> <magic>']);
  t.same(s.ackLast('c021').slice(0, 1), ['lcp-up mru=1410 acfc pfc']);
});

t.test('RouterOS: CCP (MPPE) before IPCP, MPLSCP; IPCP is answered as if they were not there', async (t) => {
  const s = new Script(lnsConfig());
  s.tell({ type: 'lower-up' });
  s.hear('ff03 c021 0101 0012 010405aa 0506 1a2b3c4d 0702 0802');
  s.ackLast('c021');
  s.hear(s.msChapV2('alice', 'wonderland'));
  t.match(s.hear('80fd 0101 000a 1206 01000060').at(-1), /^LCP Protocol-Reject \d+ CCP/);
  t.match(s.hear('8281 0101 0004').at(-1), /^LCP Protocol-Reject \d+ MPLSCP/);
  t.same(s.hear('8021 0101 000a 030600000000'), ['IPCP Configure-Nak 1 <addr 10.64.0.7>']);
  t.same(s.hear('8021 0102 000a 03060a400007'), ['ip-open 10.64.0.7', 'IPCP Configure-Ack 2 <addr 10.64.0.7>']);
});

/** Our Magic-Number, out of the request we sent. */
function magicOf(s: Script): string {
  const request = Buffer.from(s.reply('c021', 0x02)).toString('hex');
  return `0x${/0506([0-9a-f]{8})/.exec(request)![1]}`;
}
