import t from 'tap';
import { decodeDhcp6, dhcp6Options, encodeDhcp6 } from '../../../src/wire/dhcp6/message.js';
import { fromHex, toHex } from '../../../src/wire/reader.js';

const show = (hex: string): string => {
  const message = decodeDhcp6(fromHex(hex));
  if (!message.ok) return `${message.ref} ${message.why}`;
  const { type, transaction, options } = message.value;
  return [type, transaction.toString(16), dhcp6Options.show(options)].join(' ').trim();
};

t.test('messages and options: RFC 8415 §8, §21, and back', async (t) => {
  const table: [name: string, hex: string, want: string][] = [
    ['no option', '0b 123456', '11 123456'],
    ['client and server', '03 000001 0001 0004 0003001b 0002 0002 abcd', '3 1 <client 0003001b> <server abcd>'],
    ['IA_NA', '01 000001 0003 000c 00000007 00000000 00000000', '1 1 <ia-na 7 0 0>'],
    [
      'IA_PD with a prefix',
      '07 000001 0019 0029 00000007 00000708 00000b40 001a 0019 00000e10 00001c20 38 20010db8010001000000000000000000',
      '7 1 <ia-pd 7 1800 2880 <prefix 20010db8010001000000000000000000/56 3600 7200>>',
    ],
    ['status', '07 000001 0019 0012 00000001 00000000 00000000 000d 0002 0006', '7 1 <ia-pd 1 0 0 <status 6>>'],
    ['servers', '07 000001 0017 0010 20010db8000000000000000000000053', '7 1 <dns 20010db8000000000000000000000053>'],
    ['what is asked, at once', '01 000001 0006 0004 00170018 000e 0000', '1 1 <asks 00170018> <rapid-commit>'],
  ];
  for (const [name, hex, want] of table) {
    t.equal(show(hex), want, name);
    const bytes = fromHex(hex);
    const message = decodeDhcp6(bytes);
    t.equal(message.ok && toHex(encodeDhcp6(message.value)), toHex(bytes), `${name} and back`);
    if (!message.ok) continue;
    for (const raw of message.value.options) {
      const meaning = dhcp6Options.decode(raw);
      t.same(meaning.kind === 'value' && dhcp6Options.encode(meaning), raw, `${name}, from its value`);
    }
    for (let n = 0; n < 4; n++) t.match(decodeDhcp6(bytes.subarray(0, n)), { ok: false, ref: 'RFC 8415 §8' });
  }
});

t.test('what is malformed', async (t) => {
  const table: [name: string, hex: string, want: string][] = [
    ['a length beyond the message', '01 000001 0001 0005 00030001', 'RFC 8415 §21.1 option-len'],
    ['half an option header', '01 000001 0001 00', 'RFC 8415 §21.1 option-len'],
    [
      'an association that is too short',
      '01 000001 0019 000b 0000000700000000000000',
      '1 1 <ia-pd bad length 0000000700000000000000>',
    ],
    [
      'options in it that do not fit',
      '01 000001 0003 000e 000000070000000000000000 001a',
      '1 1 <ia-na bad length 000000070000000000000000001a>',
    ],
    ['a prefix that is too short', '01 000001 001a 0002 0000', '1 1 <prefix bad length 0000>'],
    [
      'a prefix of 129 bits',
      `01 000001 001a 0019 0000000000000000 81 ${'00'.repeat(16)}`,
      `1 1 <prefix bad length 000000000000000081${'00'.repeat(16)}>`,
    ],
    ['no status', '01 000001 000d 0001 00', '1 1 <status bad length 00>'],
    ['half a server', '01 000001 0017 0008 0000000000000000', '1 1 <dns bad length 0000000000000000>'],
    ['no server', '01 000001 0017 0000', '1 1 <dns bad length >'],
    ['a search list is told, not asked for', '01 000001 0018 0002 0000', '1 1 <search bad length 0000>'],
  ];
  for (const [name, hex, want] of table) t.equal(show(hex), want, name);
});

t.test('RFC 3646 §4: the search list', async (t) => {
  const raw = dhcp6Options.encode({ name: 'domains', value: 'corp.example' });
  t.same([raw.type, toHex(raw.data)], [24, '04636f7270076578616d706c6500']);
});
