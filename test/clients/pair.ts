/** A native client against the gateway's own machines and decisions, on the virtual clock. */
import { SERVER } from '../lib/daemon-client.js';
import { Rig, type RigOptions } from '../lib/daemon-rig.js';
import { seededRandom } from '../lib/pair.js';
import type { NativeClient } from './client.js';
import { Emulator, type EmulatorOptions } from './emulator.js';

export interface PairOptions extends RigOptions, Partial<Omit<EmulatorOptions, 'client' | 'path' | 'random'>> {
  readonly seed?: number;
  readonly mark?: number;
}

export interface ClientPair {
  readonly rig: Rig;
  readonly client: Emulator;
}

/** A client whose SA is up and that has not dialled. */
export function pair(client: NativeClient, options: PairOptions = {}): ClientPair {
  const rig = new Rig(options);
  return { rig, client: join(rig, client, options) };
}

/** The same on a gateway that is there already. */
export function join(rig: Rig, client: NativeClient, options: PairOptions = {}): Emulator {
  const { seed = 1, mark = 1, user = 'alice', passwords = ['wonderland'], auth, tunnelSecret, quirks } = options;
  const path = { mark, local: SERVER, remote: '198.51.100.2', remotePort: client.l2tp.port || 50_000 + mark };
  const emulator: Emulator = new Emulator(
    rig.clientDrive,
    {
      client,
      path,
      user,
      passwords,
      random: seededRandom(seed),
      ...(auth ? { auth } : {}),
      ...(tunnelSecret === undefined ? {} : { tunnelSecret }),
      ...(quirks ? { quirks } : {}),
    },
    (datagram) => rig.arrive(path, datagram),
  );
  rig.attached.push(emulator);
  rig.childUp(emulator);
  return emulator;
}
