// What the data plane throws.
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';

/** A system call or an argument was refused. `code` is the errno's name (EEXIST, EPERM, ...), `errno` its number. */
export class DataplaneError extends Error {
  override readonly name = 'DataplaneError';
  constructor(
    readonly code: string,
    readonly errno: number,
    /** The system call or method that failed, with the option where it is a setsockopt. */
    readonly syscall: string,
    detail?: string,
  ) {
    super(`${syscall}: ${code}${detail === undefined ? '' : `: ${detail}`}`);
  }

  static of(errno: number, syscall: string, detail?: string): DataplaneError {
    return new DataplaneError(getSystemErrorName(-errno), errno, syscall, detail);
  }
}

export type ErrorCode = keyof typeof constants.errno;

export function failure(code: ErrorCode, syscall: string, detail: string): DataplaneError {
  return new DataplaneError(code, constants.errno[code], syscall, detail);
}

/** A method was called after close(), or the data plane closed while a flush() waited. */
export class DataplaneClosed extends Error {
  override readonly name = 'DataplaneClosed';
  constructor() {
    super('the data plane is closed');
  }
}
