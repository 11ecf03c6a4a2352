/** macOS, iOS and iPadOS: a configuration profile, https://developer.apple.com/documentation/devicemanagement/vpn */
import { escaped, type Fields, type Profile, uuid } from './fields.js';

type Plist = string | number | boolean | Uint8Array | readonly Plist[] | { readonly [key: string]: Plist };

export function apple(f: Fields): Profile {
  const vpn = {
    PayloadType: 'com.apple.vpn.managed',
    PayloadVersion: 1,
    PayloadIdentifier: `lockstep.${uuid(f, 'vpn')}`,
    PayloadUUID: uuid(f, 'vpn').toUpperCase(),
    PayloadDisplayName: f.name,
    UserDefinedName: f.name,
    VPNType: 'L2TP',
    PPP: {
      CommRemoteAddress: f.server,
      AuthName: f.user,
      ...(f.password === undefined ? {} : { AuthPassword: f.password }),
    },
    IPSec: {
      AuthenticationMethod: 'SharedSecret',
      SharedSecret: Buffer.from(f.psk, 'utf8'),
      ...(f.group === undefined ? {} : { LocalIdentifier: f.group, LocalIdentifierType: 'KeyID' }),
    },
    // 0: the routes come from the gateway over DHCP, and the client asks only then.
    IPv4: { OverridePrimary: f.routes.length > 0 ? 0 : 1 },
  };
  const profile = {
    PayloadType: 'Configuration',
    PayloadVersion: 1,
    PayloadIdentifier: `lockstep.${uuid(f, 'profile')}`,
    PayloadUUID: uuid(f, 'profile').toUpperCase(),
    PayloadDisplayName: f.name,
    PayloadDescription: `L2TP/IPsec to ${f.server} for ${f.user}`,
    PayloadRemovalDisallowed: false,
    PayloadContent: [vpn],
  };
  return {
    extension: 'mobileconfig',
    text: `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
${plist(profile)}
</plist>
`,
    steps: [
      'send it to the device (AirDrop, mail), open it, then install it: System Settings, General, Device Management',
      'the file holds the key: delete the mail afterwards',
    ],
  };
}

function plist(value: Plist, indent = ''): string {
  const deeper = `${indent}  `;
  if (typeof value === 'string') return `${indent}<string>${escaped(value)}</string>`;
  if (typeof value === 'number') return `${indent}<integer>${value}</integer>`;
  if (typeof value === 'boolean') return `${indent}<${value}/>`;
  if (value instanceof Uint8Array) return `${indent}<data>${Buffer.from(value).toString('base64')}</data>`;
  if (Array.isArray(value))
    return [`${indent}<array>`, ...value.map((item) => plist(item, deeper)), `${indent}</array>`].join('\n');
  const entries = Object.entries(value).map(
    ([key, item]) => `${deeper}<key>${escaped(key)}</key>\n${plist(item, deeper)}`,
  );
  return [`${indent}<dict>`, ...entries, `${indent}</dict>`].join('\n');
}
