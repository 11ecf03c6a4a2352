// A RADIUS server that accepts everybody, for an LNS that has no users of its own. RFC 2865 §3. `node radius.js SECRET`
import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';

const secret = process.argv[2]!;
/** As much as the machine allows (net.core.rmem_max): requests of many sessions come at once. */
const BUFFER = 4 << 20;
const ACCEPT: Readonly<Record<number, number>> = { 1: 2, 4: 5 }; // Access, Accounting
for (const port of [1812, 1813]) {
  const socket = createSocket({ type: 'udp4', recvBufferSize: BUFFER });
  socket.on('message', (request, from) => {
    const answer = Buffer.alloc(20);
    answer[0] = ACCEPT[request[0]!] ?? 3;
    answer[1] = request[1]!;
    answer.writeUInt16BE(20, 2);
    request.copy(answer, 4, 4, 20);
    createHash('md5').update(answer).update(secret).digest().copy(answer, 4);
    socket.send(answer, from.port, from.address);
  });
  socket.bind(port, '127.0.0.1');
}
