#!/usr/bin/python3
"""renew.py SECONDS EVERY "SOCKET KEY=VALUE..."...: in turn, one every so many seconds, asks the charon behind a VICI socket to rekey.

Prints a line for each: when it was asked, what, and charon's answer. A swanctl for each would take the guest a second and more."""
import socket, struct, sys, time

CMD_REQUEST, CMD_RESPONSE, KEY_VALUE = 0, 1, 3


class Charon:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.stream = self.socket.makefile('rb')

    def rekey(self, selectors):
        body = bytes([CMD_REQUEST, 5]) + b'rekey'
        for name, value in selectors:
            body += bytes([KEY_VALUE, len(name)]) + name.encode() + struct.pack('>H', len(value)) + value.encode()
        self.socket.sendall(struct.pack('>I', len(body)) + body)
        answer = self.stream.read(struct.unpack('>I', self.stream.read(4))[0])
        return answer[0] == CMD_RESPONSE and b'\x07success\x00\x03yes' in answer


seconds, every = float(sys.argv[1]), float(sys.argv[2])
turns = [(path, [s.split('=') for s in selectors]) for path, *selectors in (turn.split() for turn in sys.argv[3:])]
charons = {path: Charon(path) for path, _ in turns}
began, turn = time.monotonic(), 0
while (due := began + turn * every) < began + seconds:
    time.sleep(max(0, due - time.monotonic()))
    path, selectors = turns[turn % len(turns)]
    done = charons[path].rekey(selectors)
    print(f'{time.monotonic() - began:6.2f} {path} {selectors} {"asked" if done else "nothing to rekey"}', flush=True)
    turn += 1
