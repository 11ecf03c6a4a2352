// What a first L2TP forwarder in Node looks like: one datagram and one packet at a time, one session that is simply there.
// `node naive.js LOCAL REMOTE TUN`
import { createSocket } from 'node:dgram';
import { openTuntap } from '../src/io/tun.js';

const [local, remote, name] = process.argv.slice(2) as [string, string, string];
const HEADER = Buffer.from([0x00, 0x02, 0, 1, 0, 1, 0xff, 0x03, 0x00, 0x21]);
const tun = openTuntap({ mode: 'tun', name, mtu: 1400 });
tun.setUp(true);
const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
const [queue] = tun.queues;
socket.on('message', (data) => {
  const at = (data[0]! & 0x40) === 0 ? 10 : 12; // RFC 2661 §3.1: with Length or without
  if (data.length > at) queue!.writeBatch([data.subarray(at)]);
});
queue!.onReadable(() => {
  for (const packet of queue!.readBatch()) socket.send([HEADER, packet], 1701, remote);
});
socket.bind(1701, local, () => process.stdout.write('{"ready":true}\n'));
