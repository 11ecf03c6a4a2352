import t from 'tap';
import { clientType } from '../../src/daemon/client-type.js';

t.test('what an SCCRQ gives away', async (t) => {
  const from = (hostName: string, vendorName?: string, firmware?: number, nulName?: boolean) =>
    clientType({
      hostName,
      ...(vendorName === undefined ? {} : { vendorName }),
      ...(firmware === undefined ? {} : { firmware }),
      ...(nulName === undefined ? {} : { nulName }),
    });
  t.equal(from('DESKTOP', 'Microsoft', 0x0a00), 'Windows 10 or 11');
  t.equal(from('OLD', 'Microsoft', 0x0601), 'Windows 7');
  t.equal(from('ODD', 'Microsoft', 0x0bad), 'Windows');
  t.equal(from('router', 'MikroTik', 1), 'RouterOS');
  t.equal(from('box', 'xelerance.com', 0x0690), 'xl2tpd');
  t.equal(from('anonymous'), 'Android');
  t.equal(from('Mac.local', undefined, undefined, true), 'Apple');
  t.equal(from('x'), 'unknown');
  t.equal(from('x', 'somebody'), 'unknown');
});
