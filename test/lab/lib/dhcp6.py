"""dhcp6.py DEVICE information|delegate|release: asks ff02::1:2 over DEVICE and prints the reply's options as `option TYPE HEX`, for
`delegate` (Solicit and Request) and `release` the message type and the prefix as well; exits with 1 when nobody answers five times."""
import socket
import struct
import sys

device, what = sys.argv[1:3]
CLIENT = bytes.fromhex('0003001b0242ac110002')
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b'\0')
s.bind(('::', 546))
s.settimeout(3)
index = socket.if_nametoindex(device)


def option(kind, data):
    return struct.pack('>HH', kind, len(data)) + data


def options(data):
    found = {}
    while data:
        kind, length = struct.unpack('>HH', data[:4])
        found[kind] = data[4:4 + length]
        data = data[4 + length:]
    return found


def ask(kind, transaction, *parts):
    message = struct.pack('>I', kind << 24 | transaction) + option(1, CLIENT) + option(6, bytes.fromhex('00170018')) + b''.join(parts)
    for _ in range(5):
        s.sendto(message, ('ff02::1:2', 547, 0, index))
        try:
            data, sender = s.recvfrom(2048)
        except socket.timeout:
            continue
        if sender[1] != 547 or data[1:4] != struct.pack('>I', transaction)[1:]:
            sys.exit(f'not an answer: {sender} {data.hex()}')
        return data[0], options(data[4:])
    sys.exit(1)


def show(kind, found):
    print('type', kind)
    for number in sorted(found):
        print('option', number, found[number].hex())
    inner = options(found.get(25, bytes(12))[12:])
    if 26 in inner:
        print('prefix', f'{socket.inet_ntop(socket.AF_INET6, inner[26][9:25])}/{inner[26][8]}')


IA = option(25, struct.pack('>III', 7, 0, 0))
if what == 'information':
    show(*ask(11, 1))
else:
    kind, found = ask(1, 2, IA)
    server = option(2, found[2])
    show(*ask(3 if what == 'delegate' else 8, 3, server, IA))
