/** ChromeOS: Open Network Configuration, to be imported at chrome://network#general (Chromium: components/onc/docs/onc_spec.md). */
import { type Fields, type Profile, uuid } from './fields.js';

export function chromeos(f: Fields): Profile {
  const network = {
    GUID: `{${uuid(f, 'onc')}}`,
    Name: f.name,
    Type: 'VPN',
    VPN: {
      Type: 'L2TP-IPsec',
      Host: f.server,
      IPsec: {
        AuthenticationType: 'PSK',
        IKEVersion: 1,
        PSK: f.psk,
        SaveCredentials: true,
        ...(f.group === undefined ? {} : { Group: f.group }),
      },
      L2TP: {
        Username: f.user,
        ...(f.password === undefined ? {} : { Password: f.password }),
        SaveCredentials: f.password !== undefined,
      },
    },
  };
  return {
    extension: 'onc',
    text: `${JSON.stringify({ Type: 'UnencryptedConfiguration', NetworkConfigurations: [network] }, null, 2)}\n`,
    steps: [
      'on the Chromebook: chrome://network, General, Import ONC file',
      'the file holds the key: delete it afterwards',
    ],
  };
}
