#!/usr/bin/python3
"""paced.py RATE SECONDS FILE: from standard input to output, RATE kilobytes a second, for so long or until the file is there."""
import os, sys, time

STEP = 0.02
size, end, file = round(int(sys.argv[1]) * 1000 * STEP), time.monotonic() + float(sys.argv[2]), sys.argv[3]
due = time.monotonic()
try:
    while due < end and not os.path.exists(file) and (octets := sys.stdin.buffer.read(size)):
        sys.stdout.buffer.write(octets)
        sys.stdout.buffer.flush()
        # What a starved machine could not send is caught up for 0.2 s at most.
        due = max(due + STEP, time.monotonic() - 0.2)
        time.sleep(max(0, due - time.monotonic()))
except BrokenPipeError:
    os._exit(0)  # the host it was sent from has died: so it is meant
