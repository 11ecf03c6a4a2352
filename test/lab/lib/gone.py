#!/usr/bin/python3
"""gone.py SOCKET SECONDS: asks the gateway's control socket for its status until there is no session and a packet has found no route, or
time is up. Prints "watching" when it has begun, and at the end the two times of day in ms, 0 for what never was.

It asks every 20 ms: the guest's one processor is the gateway's, too, and the load sends no oftener."""
import http.client, json, socket, sys, time


class Control(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__('control')
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self.path)


control, until = Control(sys.argv[1]), time.monotonic() + float(sys.argv[2])


def status():
    control.request('GET', '/status')
    answer = json.loads(control.getresponse().read())
    return answer['sessions'], answer['drops'].get('no-route', 0)


sessions, before = status()
if sessions == 0:
    raise SystemExit('gone.py: there is no session')
print('watching', flush=True)
gone = unrouted = 0
while not (gone and unrouted) and time.monotonic() < until:
    time.sleep(0.02)
    sessions, drops = status()
    now = round(time.time() * 1000)
    if not gone and sessions == 0:
        gone = now
    if not unrouted and drops > before:
        unrouted = now
print(gone, unrouted)
