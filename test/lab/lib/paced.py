#!/usr/bin/python3
"""paced.py RATE SECONDS FILE TOLD: from standard input to output, RATE kilobytes a second, for so long or until FILE is there. How many
octets that were is in TOLD before the output ends."""
import os, sys, time

STEP = 0.02
size, end = round(int(sys.argv[1]) * 1000 * STEP), time.monotonic() + float(sys.argv[2])
file, told = sys.argv[3:]
sent = 0
due = time.monotonic()
try:
    while due < end and not os.path.exists(file) and (octets := sys.stdin.buffer.read(size)):
        sys.stdout.buffer.write(octets)
        sys.stdout.buffer.flush()
        sent += len(octets)
        # What a starved machine could not send is caught up for 0.2 s at most.
        due = max(due + STEP, time.monotonic() - 0.2)
        time.sleep(max(0, due - time.monotonic()))
except BrokenPipeError:
    os._exit(0)  # the host it was sent from has died: so it is meant
with open(told, 'w') as f:
    print(sent, file=f)
