/** Classless static routes: prefix length, its significant octets, gateway. RFC 3442, "Classless Route Option Format". */
import { ip4 } from '../ppp/options.js';
import { Reader, Writer } from '../reader.js';

export interface Route {
  /** `10.11.11.0/24`, host bits zero. */
  readonly network: string;
  readonly gateway: string;
}

/** Undefined when they do not fill the option, or a length is beyond 32: such an option is not used at all. */
export function readRoutes(data: Uint8Array): Route[] | undefined {
  const r = new Reader(data);
  const routes: Route[] = [];
  while (r.left > 0) {
    const length = r.u8();
    const significant = r.bytes(octetsOf(length));
    const gateway = r.bytes(4);
    if (r.overrun || length > 32) return undefined;
    const network = Uint8Array.of(0, 0, 0, 0);
    network.set(significant);
    routes.push({ network: `${network.join('.')}/${length}`, gateway: gateway.join('.') });
  }
  return routes.length > 0 ? routes : undefined;
}

export function writeRoutes(routes: readonly Route[]): Uint8Array {
  const w = new Writer();
  for (const { network, gateway } of routes) {
    const [address = '', length] = network.split('/');
    w.u8(Number(length))
      .bytes(ip4.write(address).subarray(0, octetsOf(Number(length))))
      .bytes(ip4.write(gateway));
  }
  return w.done();
}

const octetsOf = (length: number): number => Math.ceil(length / 8);
