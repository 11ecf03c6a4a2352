/**
 * Linux with NetworkManager-l2tp: a shell script that writes a keyfile and has NetworkManager load it. nmcli alone would have
 * the key among its arguments, where `ps` shows it.
 */
import { type Fields, type Profile, uuid } from './fields.js';

/** Of 1.20.8, Debian 12's, the service ends without a word when it reads `ipsec-group-name`. */
const GROUP_NEEDS = 'it must be 1.52.2 or later, which knows an identity besides the address';

export function linux(f: Fields): Profile {
  const path = `/etc/NetworkManager/system-connections/lockstep-${uuid(f, 'nm')}.nmconnection`;
  return {
    extension: 'sh',
    text: `#!/bin/sh
# The connection ${oneLine(f.name)} for NetworkManager. Holds a secret: delete it when it has run.
set -eu
[ "$(id -u)" = 0 ] || { echo 'run it as root: sudo sh <this file>' >&2; exit 1; }
umask 077
cat > '${path}' <<'END-OF-KEYFILE'
${keyfile(f)}END-OF-KEYFILE
nmcli connection load '${path}'
echo 'Connect with: nmcli --ask connection up uuid ${uuid(f, 'nm')}'
`,
    steps: [
      'install NetworkManager-l2tp (Debian, Ubuntu: network-manager-l2tp, and network-manager-l2tp-gnome for its dialogs)',
      ...(f.group === undefined ? [] : [GROUP_NEEDS]),
      'with libreswan below it: `ikev1-policy=accept` in `config setup` of /etc/ipsec.conf',
      'sudo sh <the file>',
      `nmcli --ask connection up uuid ${uuid(f, 'nm')}`,
    ],
  };
}

/** As `nm-settings-keyfile(5)` wants it; the plugin's own keys are those of its nm-l2tp-service. */
export function keyfile(f: Fields): string {
  const split = f.routes.length > 0;
  const sections: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    connection: { id: f.name, uuid: uuid(f, 'nm'), type: 'vpn', autoconnect: 'false' },
    vpn: {
      'service-type': 'org.freedesktop.NetworkManager.l2tp',
      gateway: f.server,
      user: f.user,
      // 0: kept here; 2: asked for at each connection.
      'password-flags': f.password === undefined ? '2' : '0',
      'ipsec-enabled': 'yes',
      'ipsec-psk-flags': '0',
      ...(f.group === undefined ? {} : { 'ipsec-group-name': f.group }),
      mtu: '1400',
      mru: '1400',
    },
    'vpn-secrets': { 'ipsec-psk': f.psk, ...(f.password === undefined ? {} : { password: f.password }) },
    ipv4: {
      method: 'auto',
      ...(split ? { 'never-default': 'true' } : {}),
      ...Object.fromEntries(f.routes.map((net, i) => [`route${i + 1}`, net])),
    },
    ipv6: { method: 'auto' },
  };
  return Object.entries(sections)
    .map(
      ([name, values]) =>
        `[${name}]\n${Object.entries(values)
          .map(([k, v]) => `${k}=${value(v)}\n`)
          .join('')}\n`,
    )
    .join('');
}

/** GLib's key files: a backslash begins an escape, spaces in front are skipped. A line break would end the document of the shell. */
const value = (text: string): string =>
  text
    .replaceAll('\\', '\\\\')
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r')
    .replace(/^ +/, (s) => '\\s'.repeat(s.length));

const oneLine = (text: string): string => text.replace(/[\r\n]/g, ' ');
