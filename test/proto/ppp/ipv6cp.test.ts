import t from 'tap';
import { fromHex, toHex } from '../../../src/wire/reader.js';
import { lnsConfig } from '../../lib/ppp-pair.js';
import { Script } from '../../lib/ppp-script.js';

const OURS = fromHex('0000000000000001');
const network = (ipv6: Uint8Array | undefined = OURS): Script => {
  const s = new Script(lnsConfig(ipv6 === undefined ? {} : { ipv6 }));
  s.toNetwork();
  return s;
};
const asks = (options: string): string => {
  const length = options.replace(/\s/g, '').length / 2 + 4;
  return `8057 01 01 ${length.toString(16).padStart(4, '0')} ${options}`;
};
const THEIRS = '010a 0200000000000042';

t.test('off: IPV6CP is Protocol-Rejected, as any protocol nobody here speaks', async (t) => {
  const s = new Script(lnsConfig());
  s.toNetwork();
  t.same(s.hear(asks(THEIRS)), [
    'note ppp.unknown-protocol IPV6CP',
    'LCP Protocol-Reject 2 IPV6CP 0101000e010a0200000000000042',
  ]);
});

t.test('on: RFC 5072 §4.1, open exactly as long as our Ack stands', async (t) => {
  const s = new Script(lnsConfig({ ipv6: OURS }));
  t.same(s.toNetwork().slice(-2), [
    'IPCP Configure-Request 1 <addr 10.64.0.1>',
    'IPV6CP Configure-Request 1 <id 0000000000000001>',
  ]);
  t.same(s.hear(asks(THEIRS)), ['ipv6-open 0200000000000042', `IPV6CP Configure-Ack 1 <id 0200000000000042>`]);
  t.same(s.hear(asks(THEIRS)), [
    'ipv6-close',
    'ipv6-open 0200000000000042',
    'IPV6CP Configure-Ack 1 <id 0200000000000042>',
  ]);
  t.same(s.ackLast('8057'), ['ipv6-up']);
  t.match(s.hear(asks('010a 0000000000000000')).join(), /^ipv6-close,IPV6CP Configure-Request 2 .*Configure-Nak/);
  t.same(s.hear(asks(THEIRS)).at(-1), 'IPV6CP Configure-Ack 1 <id 0200000000000042>');
  t.same(s.ackLast('8057'), ['ipv6-up']);
  t.same(s.hear('8057 05 09 0004'), ['ipv6-close', 'IPV6CP Terminate-Ack 9'], 'it goes, and IPv4 stays');
});

t.test(
  'RFC 1661 §5.6: packets and codes it cannot make sense of, and one of ours that the peer does not know',
  async (t) => {
    const s = network();
    t.match(s.hear('8057 01 01 0003').join(), /^note ppp.malformed/);
    t.same(s.hear('8057 0f 07 0004'), ['IPV6CP Code-Reject 2 0f070004']);
    t.same(s.hear('8057 07 03 0008 0f070004'), [], 'IPv4 and IPv6 stay');
    t.equal(s.hear(asks(THEIRS)).at(-1), 'IPV6CP Configure-Ack 1 <id 0200000000000042>');
  },
);

t.test('no identifier, ours, or a short one: a random one is suggested, and the same again', async (t) => {
  const s = network();
  const nak = s.hear(asks('010a 0000000000000000')).at(-1)!;
  t.match(nak, /^IPV6CP Configure-Nak 1 <id [4-7c-f][014589cd][0-9a-f]{14}>$/, 'the universal bit is clear');
  for (const options of ['010a 0000000000000001', '0104 0001', '']) t.equal(s.hear(asks(options)).at(-1), nak, options);
  s.hear(asks(''));
  t.same(s.hear(asks('')), ['IPV6CP Configure-Ack 1'], 'one that wants none gets its Ack, and no IPv6');
  t.same(s.ackLast('8057'), []);
});

t.test('an identifier that another has: a free random one is suggested, RFC 5072 §4.1', async (t) => {
  const held = new Set(['0200000000000042']);
  const s = new Script(lnsConfig({ ipv6: OURS }), undefined, (id) => held.has(toHex(id)));
  s.toNetwork();
  const suggested = (line = '') => /^IPV6CP Configure-Nak 1 <id ([0-9a-f]{16})>$/.exec(line)?.[1] ?? 'none';
  const first = suggested(s.hear(asks(THEIRS)).at(-1));
  t.equal(suggested(s.hear(asks(THEIRS)).at(-1)), first);
  held.add(first);
  const second = suggested(s.hear(asks(`010a ${first}`)).at(-1));
  t.notOk(held.has(second), 'the suggestion was taken meanwhile');
  t.same(s.hear(asks(`010a ${second}`)), [`ipv6-open ${second}`, `IPV6CP Configure-Ack 1 <id ${second}>`]);
});

t.test('our identifier is not the peer’s to choose; one that keeps asking is spared it', async (t) => {
  const s = network();
  for (let i = 0; i < 5; i++)
    t.match(s.hear(s.reply('8057', 3, '010a 0000000000000007')).at(-1), /Configure-Request \d <id 0000000000000001>$/);
  t.match(s.hear(s.reply('8057', 3, '010a 0000000000000007')).at(-1), /^IPV6CP Configure-Request \d$/);
});

t.test('a client without IPv6: Protocol-Reject, or silence; the link comes up all the same', async (t) => {
  const s = network();
  t.same(s.hear('c021 08 05 000a 8057 0101 0004'), ['note ppp.protocol-rejected IPV6CP']);
  s.ackLast('8021');
  t.equal(s.hear('8021 01 01 000a 03 06 0a400007').at(-1), 'up alice 10.64.0.7');
  t.notMatch(s.wait(10_000).join(), /IPV6CP/);

  const silent = network();
  silent.ackLast('8021');
  silent.hear('8021 01 01 000a 03 06 0a400007');
  const said = silent.wait(29_000);
  t.equal(said.filter((line) => line.startsWith('IPV6CP Configure-Request')).length, 9, '§4.6: ten in all');
  t.notMatch(said.join(), /down/);
  t.same(network().hear('8057 07 01 0008 01 01 0004'), [], 'a Code-Reject ends nothing');
});

t.test('LCP goes: IPv6 goes with it', async (t) => {
  const s = network();
  s.hear(asks(THEIRS));
  s.ackLast('8057');
  t.match(s.hear('c021 05 09 0004').join(), /ipv6-close/);
  const gone = network();
  gone.hear(asks(THEIRS));
  t.match(gone.tell({ type: 'lower-down' }).join(), /ipv6-close/);
});
