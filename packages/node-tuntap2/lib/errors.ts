/** What goes wrong with a device: one error class, named after the errno as Node's own system errors are. */
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';

/** A refused option or argument (`EINVAL`, `syscall` = our function), or a failed system call or netlink request. */
export class TuntapError extends Error {
  /** `EPERM`, `EBUSY`, `EEXIST`... */
  readonly code: string;
  /** Negative, as in Node's system errors: `-os.constants.errno.EPERM`. */
  readonly errno: number;
  /** The system call, ioctl or rtnetlink request that failed: `TUNSETIFF`, `RTM_NEWADDR`, `write`... */
  readonly syscall: string;

  constructor(message: string, code: string, errno: number, syscall: string) {
    super(message);
    this.name = 'TuntapError';
    this.code = code;
    this.errno = -Math.abs(errno);
    this.syscall = syscall;
  }
}

/** What a driver throws: errno positive, as the kernel has it, and the kernel's own words if it has any. */
export interface Fault {
  readonly errno: number;
  readonly syscall: string;
  readonly detail: string;
}

export const ERRNO = { ...constants.errno, EBADFD: 77 } as const;

/** The error of a bad argument: `sentence` names the key, the value and what is allowed. */
export const invalid = (where: string, sentence: string): TuntapError =>
  new TuntapError(sentence, 'EINVAL', ERRNO.EINVAL, where);

/** Turns a driver's fault into the error a user sees; anything else passes through. */
export function explain(thrown: unknown, device: string, action: string): unknown {
  if (!isFault(thrown)) return thrown;
  const code = NAMES.get(thrown.errno) ?? `E${thrown.errno}`;
  const reason = thrown.detail || HINTS[`${thrown.syscall} ${code}`] || HINTS[code] || words(thrown.errno);
  const sentence = `${device}: cannot ${action}: ${reason} (${code}, ${thrown.syscall})`;
  return new TuntapError(sentence, code, thrown.errno, thrown.syscall);
}

const isFault = (thrown: unknown): thrown is Fault =>
  thrown instanceof Error && 'errno' in thrown && 'syscall' in thrown && 'detail' in thrown;

const words = (errno: number): string => getSystemErrorMap().get(-errno)?.[1] ?? `system error ${errno}`;

// EWOULDBLOCK and EOPNOTSUPP share a number with a better known name.
const NAMES = new Map<number, string>(
  Object.entries(ERRNO)
    .filter(([name]) => name !== 'EWOULDBLOCK' && name !== 'EOPNOTSUPP')
    .map(([name, number]) => [number, name]),
);

const NO_FAMILY = 'the kernel does not know this address family, is the ipv6 module loaded?';

const HINTS: Record<string, string> = {
  EPERM: 'not permitted, CAP_NET_ADMIN is needed',
  EBADF: 'the device is closed',
  EBADFD: 'the interface was deleted',
  ENODEV: 'the interface was deleted',
  'write EIO': 'the interface is down',
  'write EINVAL': 'not a packet of this kind of device',
  'read EFAULT': 'the interface was deleted',
  'TUNSETIFF EBUSY': 'the name is in use',
  'open /dev/net/tun ENOENT': '/dev/net/tun is missing, load the tun module',
  'RTM_NEWADDR ENOTSUP': NO_FAMILY,
  'RTM_NEWROUTE ENOTSUP': NO_FAMILY,
  'RTM_NEWADDR EEXIST': 'the interface already has this address',
  'RTM_DELADDR EADDRNOTAVAIL': 'the interface does not have this address',
  'RTM_NEWROUTE EEXIST': 'there is a route to this destination with this metric already',
  'RTM_DELROUTE ESRCH': 'there is no such route',
};
