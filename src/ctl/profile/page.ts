/** A page to read from while one types: for Android up to 11, and whatever has no file to take. */
import { escaped, type Fields, type Profile } from './fields.js';

export function page(f: Fields): Profile {
  const rows: [label: string, value: string][] = [
    ['Name', f.name],
    ['Type', 'L2TP/IPSec PSK'],
    ['Server address', f.server],
    ['L2TP secret', '(leave empty)'],
    ['IPSec identifier, group name', f.group ?? '(leave empty)'],
    ['IPSec pre-shared key', f.psk],
    ['Username', f.user],
    ['Password', f.password ?? '(the one you were given)'],
    ['Authentication', 'MS-CHAP v2'],
    [
      'Forwarding routes',
      f.routes.length > 0 ? f.routes.join(' ') : '(leave empty: everything goes through the tunnel)',
    ],
  ];
  return {
    extension: 'html',
    text: `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escaped(f.name)}</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem }
  th { text-align: left; font-weight: 600; padding-right: 1.5rem; vertical-align: top }
  td { font-family: ui-monospace, monospace; overflow-wrap: anywhere; user-select: all }
</style>
<h1>${escaped(f.name)}</h1>
<p>Settings, Network, VPN, add a VPN. Fields your device does not have, leave out.</p>
<table>
${rows.map(([label, value]) => `<tr><th scope="row">${escaped(label)}<td>${escaped(value)}`).join('\n')}
</table>
<p>Android 12 and later have no L2TP/IPsec client of their own. Whoever reads this page can use the key: do not leave it lying about.</p>
</html>
`,
    steps: ['open it in a browser, on another device or on paper, and type the fields in'],
  };
}
