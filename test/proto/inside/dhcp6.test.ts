import t from 'tap';
import { PrefixPool } from '../../../src/proto/aaa/prefix-pool.js';
import { Dhcp6Server } from '../../../src/proto/inside/dhcp6.js';
import { type Instant, instant } from '../../../src/proto/machine.js';
import { decodeDhcp6, dhcp6Options } from '../../../src/wire/dhcp6/message.js';
import { showPrefix6 } from '../../../src/wire/ip/address6.js';
import { fromHex } from '../../../src/wire/reader.js';

const CLIENT = '0001 0004 0003001b';
const SERVER = '0002 0002 abcd';
const IA_PD = (iaid = 7) => `0019 000c 0000000${iaid} 00000000 00000000`;
const IA_NA = '0003 000c 00000001 00000000 00000000';
const SAYS = '<client 0003001b> <server abcd>';
const NAMES = '<dns 20010db8000000000000000000000053>';
const GRANTED = `<ia-pd 7 1800 2880 <prefix 20010db8010000000000000000000000/56 3600 7200>>`;

class Rig {
  readonly events: string[] = [];
  /** Two prefixes of /56. */
  readonly pool = new PrefixPool({ prefix: 0x20010db8_01000000_00000000_00000000n, length: 55 }, 56);
  readonly server: Dhcp6Server;
  now: Instant = instant(0);

  constructor(delegates = true, names = true, domain: string | null = null) {
    const user = 'alice';
    const delegation = { acquire: () => this.pool.acquire(user), release: this.pool.release.bind(this.pool) };
    this.server = new Dhcp6Server({
      duid: fromHex('abcd'),
      dns: names ? [fromHex('20010db8000000000000000000000053')] : [],
      domain,
      ...(delegates ? { delegation } : {}),
      delegated: (p) => void this.events.push(`delegated ${showPrefix6(p)}`),
      withdrawn: (p) => void this.events.push(`withdrawn ${showPrefix6(p)}`),
    });
  }

  /** The type of the reply and its options, or why there is none. */
  ask(type: number, ...options: string[]): string {
    const head = `${type.toString(16).padStart(2, '0')}123456`;
    const reply = this.server.receive(this.now, fromHex(head + options.join('')));
    const message = reply.ok ? decodeDhcp6(reply.value) : reply;
    if (!message.ok) return message.why;
    t.equal(message.value.transaction, 0x123456);
    return `${message.value.type} ${dhcp6Options.show(message.value.options)}`;
  }

  wait(seconds: number): void {
    this.now = instant(this.now + seconds * 1_000);
    this.server.handleTimeout(this.now);
  }
}
const [SOLICIT, REQUEST, RENEW, REBIND, RELEASE, INFORMATION] = [1, 3, 5, 6, 8, 11] as const;

t.test('stateless: RFC 8415 §18.3.11, RFC 3646', async (t) => {
  const rig = new Rig();
  t.equal(rig.ask(INFORMATION, CLIENT, '0006 0004 00170018'), `7 ${SAYS} ${NAMES}`);
  t.equal(rig.ask(INFORMATION), `7 <server abcd> ${NAMES}`, 'a client without an identifier, that asks for nothing');
  t.equal(rig.ask(INFORMATION, CLIENT, '0006 0002 0018'), `7 ${SAYS}`, 'what was not asked for');
  t.equal(new Rig(true, false).ask(INFORMATION, CLIENT), `7 ${SAYS}`);
  t.equal(rig.server.nextTimeout(), undefined);
  const search = '<search bad length 04636f7270076578616d706c6500>'; // which is only told, never decoded
  const named = new Rig(true, true, 'corp.example');
  t.equal(named.ask(INFORMATION, CLIENT), `7 ${SAYS} ${NAMES} ${search}`);
  t.equal(named.ask(INFORMATION, CLIENT, '0006 0002 0017'), `7 ${SAYS} ${NAMES}`);
});

t.test('a delegated prefix, from Solicit to Release: RFC 8415 §18.3.1 to §18.3.7', async (t) => {
  const rig = new Rig();
  t.equal(rig.ask(SOLICIT, CLIENT, IA_PD()), `2 ${SAYS} ${GRANTED} ${NAMES}`);
  t.strictSame([rig.events, rig.pool.leased], [[], 1], 'promised, not yet routed');
  t.equal(rig.ask(REQUEST, CLIENT, SERVER, IA_PD()), `7 ${SAYS} ${GRANTED} ${NAMES}`);
  t.strictSame(rig.events, ['delegated 2001:db8:100::/56']);
  t.equal(rig.ask(REQUEST, CLIENT, SERVER, IA_PD()), `7 ${SAYS} ${GRANTED} ${NAMES}`, 'a retransmission');
  rig.wait(1_800);
  t.equal(rig.ask(RENEW, CLIENT, SERVER, IA_PD()), `7 ${SAYS} ${GRANTED} ${NAMES}`);
  rig.wait(7_199);
  t.equal(rig.ask(REBIND, CLIENT, IA_PD()), `7 ${SAYS} ${GRANTED} ${NAMES}`, 'kept by the Renew');
  t.equal(rig.ask(RELEASE, CLIENT, SERVER, IA_PD(8)), `7 ${SAYS} <ia-pd 8 0 0 <status 3>> <status 0> ${NAMES}`);
  t.equal(rig.ask(RELEASE, CLIENT, SERVER, IA_PD()), `7 ${SAYS} <status 0> ${NAMES}`);
  t.strictSame(rig.events, ['delegated 2001:db8:100::/56', 'withdrawn 2001:db8:100::/56']);
  t.equal(rig.pool.leased, 0);
  for (const type of [RENEW, REBIND])
    t.match(
      rig.ask(type, CLIENT, ...(type === RENEW ? [SERVER] : []), IA_PD()),
      /<ia-pd 7 0 0 <status 3>>/,
      'NoBinding',
    );
});

t.test('what nobody renews ends; what nobody requests sooner; and all with the link', async (t) => {
  const rig = new Rig();
  rig.ask(SOLICIT, CLIENT, IA_PD());
  t.equal(rig.server.nextTimeout(), 60_000);
  rig.wait(59);
  t.equal(rig.pool.leased, 1);
  rig.wait(1);
  t.strictSame([rig.pool.leased, rig.events], [0, []]);
  t.equal(
    rig.ask(SOLICIT, CLIENT, '000e 0000', IA_PD()),
    `7 ${SAYS} <rapid-commit> ${GRANTED} ${NAMES}`,
    'Rapid Commit',
  );
  rig.wait(7_200);
  t.strictSame(rig.events, ['delegated 2001:db8:100::/56', 'withdrawn 2001:db8:100::/56']);
  rig.ask(REQUEST, CLIENT, SERVER, IA_PD());
  rig.server.stop();
  rig.server.stop();
  t.equal(rig.events.length, 4);
  t.equal(rig.pool.leased, 0);
});

t.test('one prefix for each client, none beyond the pool, and no addresses', async (t) => {
  const rig = new Rig();
  t.match(rig.ask(REQUEST, CLIENT, SERVER, IA_PD(), IA_PD(8)), /<ia-pd 7 1800 .*> <ia-pd 8 0 0 <status 6>>/);
  t.match(rig.ask(SOLICIT, CLIENT, IA_NA), /^2 .*<ia-na 1 0 0 <status 2>>/, 'NoAddrsAvail');
  t.match(rig.ask(RENEW, CLIENT, SERVER, IA_NA), /<ia-na 1 0 0 <status 3>>/, 'NoBinding');
  t.match(rig.ask(REQUEST, CLIENT, SERVER, '0019 0002 0000'), `7 ${SAYS} ${NAMES}`, 'an association that is none');
  const full = new Rig();
  for (const user of ['b', 'c']) full.pool.acquire(user);
  t.match(full.ask(SOLICIT, CLIENT, IA_PD()), /<ia-pd 7 0 0 <status 6>>/, 'NoPrefixAvail');
  t.match(new Rig(false).ask(SOLICIT, CLIENT, IA_PD()), /<ia-pd 7 0 0 <status 6>>/, 'nothing is delegated');
  new Rig(false).server.stop();
});

t.test('however many associations there are, the answer is small', async (t) => {
  const rig = new Rig();
  const said = rig.ask(REQUEST, CLIENT, SERVER, IA_PD(), ...new Array<string>(4_000).fill(IA_NA));
  t.match(said, /^7 .*<ia-pd 7 1800 .*<dns/);
  t.equal(said.match(/<ia-/g)?.length, 8);
  t.equal(rig.ask(RELEASE, CLIENT, SERVER, ...new Array<string>(4_000).fill(IA_PD(8))).match(/<ia-/g)?.length, 8);
});

t.test('what is discarded: RFC 8415 §16', async (t) => {
  const rig = new Rig();
  const LONG = `0001 0083 ${'00'.repeat(0x83)}`;
  const table: [why: string, got: string][] = [
    ['message header', rig.server.receive(rig.now, fromHex('01')).ok ? '' : 'message header'],
    ['message type 2', rig.ask(2, CLIENT)],
    ['message type 12', rig.ask(12, CLIENT)],
    ['Client Identifier', rig.ask(SOLICIT, IA_PD())],
    ['Client Identifier', rig.ask(SOLICIT, LONG)],
    ['Client Identifier', rig.ask(INFORMATION, LONG)],
    ['a Server Identifier', rig.ask(SOLICIT, CLIENT, SERVER)],
    ['a Server Identifier', rig.ask(REBIND, CLIENT, SERVER)],
    ['for another server', rig.ask(REQUEST, CLIENT)],
    ['for another server', rig.ask(REQUEST, CLIENT, '0002 0002 abce')],
    ['for another server', rig.ask(INFORMATION, CLIENT, '0002 0002 abce')],
    ['an association in an Information-request', rig.ask(INFORMATION, CLIENT, IA_NA)],
    ['an association in an Information-request', rig.ask(INFORMATION, CLIENT, IA_PD())],
    ['option-len', rig.ask(SOLICIT, '0001 00ff')],
  ];
  for (const [why, got] of table) t.equal(got, why);
  t.equal(rig.pool.leased, 0);
});
