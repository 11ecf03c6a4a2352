/** Result, Error and Disconnect codes. RFC 2661 §4.4.2; RFC 3145 (PPP Disconnect Cause Code AVP). */

export interface ResultCode {
  readonly result: number;
  readonly error?: number;
  readonly message?: string;
}

/** RFC 3145 §2.1. */
export interface CallErrors {
  readonly code: number;
  readonly protocol: number;
  readonly direction: number;
  readonly message?: string;
}
