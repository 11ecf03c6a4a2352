/** MikroTik RouterOS 6 and 7: a script for /import. */
import type { Fields, Profile } from './fields.js';

/** RouterOS scripts are bytes; within quotes these have a meaning. */
const quoted = (text: string): string =>
  `"${[...Buffer.from(text, 'utf8')].map((b) => (b < 0x20 || b > 0x7e || '"\\$?'.includes(String.fromCharCode(b)) ? `\\${b.toString(16).toUpperCase().padStart(2, '0')}` : String.fromCharCode(b))).join('')}"`;

export function routeros(f: Fields): Profile {
  const name = `l2tp-${f.user.replace(/[^A-Za-z0-9.-]/g, '_').slice(0, 24)}`;
  const lines = [
    `# L2TP/IPsec to ${f.server.replace(/[^\x21-\x7e]/g, '?')}. Holds secrets: remove it from Files when it has run.`,
    `/interface l2tp-client remove [find name=${quoted(name)}]`,
    '/interface l2tp-client add \\',
    `    name=${quoted(name)} connect-to=${quoted(f.server)} user=${quoted(f.user)} password=${quoted(f.password ?? '')} \\`,
    `    use-ipsec=yes ipsec-secret=${quoted(f.psk)} allow=mschap2 max-mtu=1400 max-mru=1400 \\`,
    `    add-default-route=${f.routes.length > 0 ? 'no' : 'yes'} comment=${quoted(f.name)} disabled=no`,
    ...f.routes.map((net) => `/ip route add dst-address=${net} gateway=${quoted(name)} comment=${quoted(f.name)}`),
    '',
  ];
  return {
    extension: 'rsc',
    text: lines.join('\r\n'),
    steps: [
      'copy it to the router (Files), then in a terminal: /import <the file>',
      ...(f.password === undefined ? [`/interface l2tp-client set ${name} password=... (the file has none)`] : []),
      'devices of the network behind the router reach the inside if the router translates their addresses (masquerade)',
    ],
  };
}
