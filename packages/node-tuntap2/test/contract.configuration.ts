// The contract, first half: names, options, MTU, state, addresses, routes.
import type { Route, TuntapOptions } from 'node-tuntap2';
import type { Test } from 'tap';
import { opened, type World } from './contract.js';

export function configuration(t: Test, world: World): void {
  t.test('names', async (t) => {
    t.match(opened(t, world, { name: 'pat%d' }).name, /^pat\d+$/, 'a pattern is filled in');
    t.match(opened(t, world).name, /^tun\d+$/, 'the kernel names a TUN device');
    t.match(opened(t, world, { mode: 'tap' }).name, /^tap\d+$/, 'and a TAP device');
    const first = opened(t, world, { name: 'contract0' });
    t.equal(first.name, 'contract0');
    t.ok(first.index > 0);
    for (const options of [{}, { queues: 2 }, { mode: 'tap' }] as const) {
      t.throws(() => opened(t, world, { name: 'contract0', ...options }), { name: 'TuntapError', code: 'EBUSY' });
    }
    first.close();
    t.equal(opened(t, world, { name: 'contract0', mode: 'tap' }).mode, 'tap', 'a closed device gives its name back');
    const many = opened(t, world, { name: 'contract1', queues: 2 });
    t.throws(
      () => opened(t, world, { name: 'contract1', queues: 2 }),
      { code: 'EBUSY' },
      'nobody joins another one unasked',
    );
    t.equal(many.queues.length, 2);
  });

  t.test('malformed options are refused in one sentence that names the key', async (t) => {
    const table: [options: unknown, sentence: RegExp][] = [
      [undefined, /^options: undefined /],
      [{}, /^mode: undefined is neither 'tun' nor 'tap'$/],
      [{ mode: 'tun', colour: 1 }, /^colour: unknown option/],
      [{ mode: 'tun', name: '' }, /^name: '' /],
      [{ mode: 'tun', name: 'sixteen-octets-x' }, /^name: 'sixteen-octets-x' is not an interface name/],
      [{ mode: 'tun', name: 'a/b' }, /^name: /],
      [{ mode: 'tun', name: 'a b' }, /^name: /],
      [{ mode: 'tun', name: 'a:1' }, /^name: /],
      [{ mode: 'tun', name: '..' }, /^name: /],
      [{ mode: 'tun', name: 'tün0' }, /^name: /],
      [{ mode: 'tun', name: 'a\0b' }, /^name: /],
      [{ mode: 'tun', name: '%d%d' }, /^name: /],
      [{ mode: 'tun', name: 'x%s' }, /^name: /],
      [{ mode: 'tun', name: 7 }, /^name: 7 /],
      [{ mode: 'tun', queues: 0 }, /^queues: 0 is not an integer from 1 to 256$/],
      [{ mode: 'tun', queues: 257 }, /^queues: /],
      [{ mode: 'tun', queues: 1.5 }, /^queues: /],
      [{ mode: 'tun', vnetHeader: 1 }, /^vnetHeader: 1 is neither true nor false$/],
      [{ mode: 'tun', persist: 'yes' }, /^persist: 'yes' /],
      [{ mode: 'tun', mtu: 67 }, /^mtu: 67 is not an integer from 68 to 65535$/],
      [{ mode: 'tun', mtu: 65_536 }, /^mtu: /],
      [{ mode: 'tun', mtu: Number.NaN }, /^mtu: /],
      [{ mode: 'tun', vnetHeader: true, offloads: 'csum' }, /^offloads: 'csum' is not a list$/],
      [{ mode: 'tun', vnetHeader: true, offloads: ['lro'] }, /^offloads: 'lro' is unknown/],
      [{ mode: 'tun', vnetHeader: true, offloads: ['toString'] }, /^offloads: 'toString' is unknown/],
      [{ mode: 'tun', offloads: ['csum'] }, /^offloads: need vnetHeader/],
      [{ mode: 'tun', vnetHeader: true, offloads: ['tso4'] }, /^offloads: tso4 need csum/],
      [{ mode: 'tun', vnetHeader: true, offloads: ['csum', 'tso-ecn'] }, /^offloads: tso-ecn needs/],
      [{ mode: 'tun', vnetHeader: true, offloads: ['csum', 'uso4'] }, /^offloads: uso4 and uso6 /],
    ];
    for (const [options, message] of table) {
      const wanted = { name: 'TuntapError', code: 'EINVAL', errno: -22, syscall: 'openTuntap', message };
      t.throws(() => world.open(options as TuntapOptions), wanted, String(message));
    }
  });

  t.test('MTU and state', async (t) => {
    const device = opened(t, world, { mtu: 1400 });
    t.equal(device.mtu, 1400);
    device.mtu = 68;
    t.equal(device.mtu, 68);
    device.mtu = 65_535;
    t.equal(device.mtu, 65_535);
    t.throws(() => opened(t, world, { mode: 'tap', mtu: 65_522 }), { code: 'EINVAL', syscall: 'RTM_SETLINK' });
    t.equal(opened(t, world, { mode: 'tap', mtu: 65_521 }).mtu, 65_521, 'a TAP packet holds an Ethernet header too');
    for (const mtu of [67, 65_536, -1, 1500.5]) {
      t.throws(() => Object.assign(device, { mtu }), { code: 'EINVAL', message: /^mtu: / });
    }
    t.equal(opened(t, world).mtu, 1500);
    t.equal(device.up, false);
    device.setUp(true);
    device.setUp(true);
    t.equal(device.up, true);
    device.setUp(false);
    t.equal(device.up, false);
  });

  t.test('addresses', async (t) => {
    const device = opened(t, world);
    t.strictSame(device.addresses(), []);
    device.addAddress('192.0.2.1/24');
    device.addAddress('2001:DB8:0:0:0:0:0:1/64');
    device.addAddress('198.51.100.1/32', { peer: '198.51.100.2' });
    device.addAddress('2001:db8:1::1/128', { peer: '2001:db8:1::2' });
    const all = ['192.0.2.1/24', '198.51.100.1/32', '2001:db8:1::1/128', '2001:db8::1/64'];
    t.strictSame(device.addresses().sort(), all);
    const taken = { name: 'TuntapError', code: 'EEXIST', errno: -17, syscall: 'RTM_NEWADDR' };
    t.throws(() => device.addAddress('192.0.2.1/24'), taken);
    t.throws(() => device.addAddress('2001:db8::1/64'), taken);
    const absent = { name: 'TuntapError', code: 'EADDRNOTAVAIL', syscall: 'RTM_DELADDR' };
    t.throws(() => device.removeAddress('192.0.2.2/24'), absent);
    t.throws(() => device.removeAddress('192.0.2.1/25'), absent, 'the prefix length belongs to it');
    t.throws(() => device.removeAddress('2001:db8::2/64'), absent);
    for (const address of all) device.removeAddress(address);
    t.strictSame(device.addresses(), []);
    t.throws(() => device.removeAddress('192.0.2.1/24'), absent);

    for (const bad of [
      '',
      '192.0.2.1',
      '192.0.2.1/33',
      '192.0.2.1/-1',
      '192.0.2.1/08',
      '192.0.2/24',
      '192.0.2.256/24',
    ]) {
      t.throws(() => device.addAddress(bad), {
        code: 'EINVAL',
        syscall: 'addAddress',
        message: /^address: .*is not an /,
      });
    }
    for (const bad of ['2001:db8::1/129', '2001:db8::1::2/64', '::1%lo/128', 'fe80::1/', '/64', 'a/b/c']) {
      t.throws(() => device.addAddress(bad), { code: 'EINVAL', syscall: 'addAddress' });
    }
    const written: [text: string, canonical: string][] = [
      ['2001:db8:0:1:1:1:1:1/128', '2001:db8:0:1:1:1:1:1/128'], // RFC 5952 §4.2.2: one zero field stays
      ['2001:DB8:0:0:1:0:0:1/128', '2001:db8::1:0:0:1/128'], // §4.2.3: the first of equal runs
      ['2001:0:0:1:0:0:0:1/128', '2001:0:0:1::1/128'], // the longest run
      ['2001:db8:0:0:0:0:0:0/127', '2001:db8::/127'],
      ['64:ff9b::192.0.2.33/128', '64:ff9b::c000:221/128'],
      ['0000:0:0:0:0:0:0:0002/128', '::2/128'],
    ];
    for (const [text, canonical] of written) {
      device.addAddress(text);
      t.strictSame(device.addresses(), [canonical]);
      device.removeAddress(canonical);
    }
    t.throws(() => device.addAddress(5 as unknown as string), { code: 'EINVAL' });
    t.throws(() => device.addAddress('192.0.2.1/32', { peer: '::1' }), {
      message: /^peer: '::1' is not an IPv4 address$/,
    });
    t.throws(() => device.removeAddress('nonsense'), { code: 'EINVAL', syscall: 'removeAddress' });
    t.strictSame(device.addresses(), []);
  });

  t.test('routes', async (t) => {
    const device = opened(t, world);
    const plain: Route = { destination: '203.0.113.0/24' };
    t.throws(() => device.addRoute(plain), { code: 'ENETDOWN', syscall: 'RTM_NEWROUTE' });
    t.throws(() => device.addRoute({ destination: '2001:db8:f::/48' }), { code: 'ENETDOWN' });
    device.addAddress('192.0.2.1/24');
    device.addAddress('2001:db8::1/64');
    device.setUp(true);
    t.strictSame(device.routes(), [], 'what the kernel derives from addresses is left out');

    const rows: [add: Route, listed: Route][] = [
      [plain, plain],
      [
        { ...plain, metric: 7 },
        { ...plain, metric: 7 },
      ],
      [
        { ...plain, table: 1000 },
        { ...plain, table: 1000 },
      ],
      [
        { destination: '198.51.100.0/25', via: '192.0.2.9' },
        { destination: '198.51.100.0/25', via: '192.0.2.9' },
      ],
      [
        { destination: '198.51.100.128/25', source: '192.0.2.1' },
        { destination: '198.51.100.128/25', source: '192.0.2.1' },
      ],
      [
        { destination: '0.0.0.0/0', metric: 50 },
        { destination: '0.0.0.0/0', metric: 50 },
      ],
      [{ destination: '10.1.2.3/32' }, { destination: '10.1.2.3/32' }],
      [{ destination: '2001:DB8:F::/48' }, { destination: '2001:db8:f::/48', metric: 1024 }],
      [
        { destination: '2001:db8:e::/48', via: '2001:db8::9', metric: 5 },
        { destination: '2001:db8:e::/48', via: '2001:db8::9', metric: 5 },
      ],
      [
        { destination: '2001:db8:d::/48', source: '2001:db8::1', table: 70_000 },
        { destination: '2001:db8:d::/48', source: '2001:db8::1', table: 70_000, metric: 1024 },
      ],
      [{ destination: '::/0' }, { destination: '::/0', metric: 1024 }],
    ];
    for (const [add] of rows) device.addRoute(add);
    const key = (route: Route) => JSON.stringify(Object.entries(route).sort());
    t.strictSame(device.routes().map(key).sort(), rows.map(([, listed]) => key(listed)).sort());
    for (const [add] of rows) {
      t.throws(() => device.addRoute(add), { name: 'TuntapError', code: 'EEXIST', syscall: 'RTM_NEWROUTE' }, key(add));
    }
    for (const [, listed] of rows) device.removeRoute(listed);
    t.strictSame(device.routes(), [], 'what is listed can be removed');
    for (const [add] of rows) {
      t.throws(
        () => device.removeRoute(add),
        { name: 'TuntapError', code: 'ESRCH', syscall: 'RTM_DELROUTE' },
        key(add),
      );
    }

    t.throws(
      () => device.addRoute({ ...plain, via: '10.200.0.1' }),
      { code: 'ENETUNREACH' },
      'a gateway nobody reaches',
    );
    t.throws(() => device.addRoute({ destination: '2001:db8:c::/48', via: '2001:db8:bad::1' }), {
      code: 'EHOSTUNREACH',
    });
    t.throws(() => device.addRoute({ ...plain, source: '10.200.0.1' }), { code: 'EINVAL', syscall: 'RTM_NEWROUTE' });
    const malformed: [route: unknown, sentence: RegExp][] = [
      [null, /^route: null /],
      [{}, /^destination: undefined is not a prefix/],
      [{ destination: '192.0.2.0' }, /^destination: /],
      [{ destination: '192.0.2.0/33' }, /^destination: /],
      [
        { destination: '192.0.2.1/24' },
        /^destination: 192\.0\.2\.1\/24 has bits beyond its prefix, write 192\.0\.2\.0\/24$/,
      ],
      [{ destination: '2001:db8::1/64' }, /write 2001:db8::\/64$/],
      [{ ...plain, via: '2001:db8::9' }, /^via: '2001:db8::9' is not an IPv4 address$/],
      [{ ...plain, source: 'x' }, /^source: /],
      [{ ...plain, metric: -1 }, /^metric: -1 /],
      [{ ...plain, table: 0 }, /^table: 0 /],
    ];
    for (const [route, message] of malformed) {
      t.throws(() => device.addRoute(route as Route), { code: 'EINVAL', syscall: 'addRoute', message });
      t.throws(() => device.removeRoute(route as Route), { code: 'EINVAL', syscall: 'removeRoute', message });
    }
    t.strictSame(device.routes(), []);
  });

  t.test('what goes along with an address, and with the state', async (t) => {
    const device = opened(t, world);
    device.setUp(true);
    device.addAddress('192.0.2.1/24');
    device.addAddress('198.51.100.1/24');
    device.addRoute({ destination: '203.0.113.0/25', source: '192.0.2.1' });
    device.addRoute({ destination: '203.0.113.128/25' });
    device.removeAddress('192.0.2.1/24');
    t.strictSame(device.routes(), [{ destination: '203.0.113.128/25' }], 'its source is gone');
    device.removeAddress('198.51.100.1/24');
    t.strictSame(device.routes(), [], 'the last IPv4 address takes the IPv4 routes along');

    device.addAddress('192.0.2.1/24');
    device.addAddress('2001:db8::1/64');
    device.addRoute({ destination: '203.0.113.0/24' });
    device.addRoute({ destination: '2001:db8:f::/48' });
    device.setUp(false);
    t.strictSame(device.routes(), [], 'down: no routes');
    t.strictSame(device.addresses(), ['192.0.2.1/24'], 'down: no IPv6 addresses');
  });
}
