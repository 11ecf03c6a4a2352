"""inform.py DEVICE SOURCE apple|windows|discover [CIADDR]: sends a DHCPINFORM to 255.255.255.255 and prints `options HEX` (from behind
the magic cookie, to the End) and one `route NETWORK GATEWAY` per route of option 121; exits with 1 when nobody answers five times."""
import socket
import struct
import sys

device, source, kind = sys.argv[1:4]
ciaddr = sys.argv[4] if len(sys.argv) > 4 else source
COOKIE = bytes.fromhex('63825363')
CLIENTS = {
    # native-clients 3.5: hardware type, length, chaddr, options
    'apple': (8, 6, '00000001000000000000000000000001', '3501083d070800000001000037 06 062c2b01f90f ff 00'),
    # native-clients 2.5; the order of the options is not known
    'windows': (8, 16, '52415320000000000000000000000000',
                '350108 3d085241532000000000 3c084d53465420352e30 370c010f03062c2e2f1f2179f92b'
                '4d0e525241532e4d6963726f736f6674 ff'),
    'discover': (8, 6, '00000001000000000000000000000001', '350101 ff'),
}
htype, hlen, chaddr, options = CLIENTS[kind]


def request(xid):
    fixed = struct.pack('>BBBBIHH', 1, htype, hlen, 0, xid, 0, 0) + socket.inet_aton(ciaddr) + bytes(12)
    return fixed + bytes.fromhex(chaddr) + bytes(192) + COOKIE + bytes.fromhex(options)


def answer(s, xid):
    try:
        data, sender = s.recvfrom(2048)
    except socket.timeout:
        return None
    if sender[1] != 67 or len(data) < 243 or data[0] != 2 or data[4:8] != struct.pack('>I', xid) or data[236:240] != COOKIE:
        sys.exit(f'not an answer: {sender} {data.hex()}')
    return data[240:]


def parse(data):
    found, at = [], 0
    while data[at] != 255:
        found.append((data[at], data[at + 2:at + 2 + data[at + 1]]))
        at += 2 + data[at + 1]
    return found, data[:at + 1]


s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b'\0')
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.bind((source, 68))
s.settimeout(3)
for xid in range(1, 6):
    s.sendto(request(xid), ('255.255.255.255', 67))
    reply = answer(s, xid)
    if reply is None:
        continue
    found, raw = parse(reply)
    print('options', raw.hex())
    routes = dict(found).get(121, b'')
    while routes:
        n = (routes[0] + 7) // 8
        network = routes[1:1 + n] + bytes(4 - n)
        print('route', f'{socket.inet_ntoa(network)}/{routes[0]}', socket.inet_ntoa(routes[1 + n:5 + n]))
        routes = routes[5 + n:]
    sys.exit(0)
sys.exit(1)
