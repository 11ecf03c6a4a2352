#!/usr/bin/python3
"""hold.py TID: stops one thread of a process, and no other, until standard input ends. SIGSTOP would stop them all."""
import ctypes, os, sys

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4
thread = int(sys.argv[1])


def ptrace(request):
    if libc.ptrace(request, thread, 0, 0) != 0:
        raise SystemExit(f'hold.py: {os.strerror(ctypes.get_errno())}')


ptrace(PTRACE_SEIZE)
ptrace(PTRACE_INTERRUPT)
os.waitpid(thread, WALL)
print('held', flush=True)
sys.stdin.read()
ptrace(PTRACE_DETACH)
