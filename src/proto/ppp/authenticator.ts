/** The authenticator of each method. It holds no secret: the user store decides. */
import type { Authentication, AuthenticatorConfig, AuthenticatorHooks } from './auth.js';
import { ChapAuthenticator } from './auth-chap.js';
import { EapAuthenticator } from './auth-eap.js';
import { PapAuthenticator } from './auth-pap.js';
import type { AuthMethod } from './events.js';

/** `peerMru`: what the peer accepts to receive. */
export function authenticator(
  method: AuthMethod,
  config: AuthenticatorConfig,
  peerMru: number,
  hooks: AuthenticatorHooks,
): Authentication {
  switch (method) {
    case 'pap':
      return new PapAuthenticator(hooks);
    case 'eap':
      return new EapAuthenticator(config, peerMru, hooks);
    default:
      return new ChapAuthenticator(method, config, hooks);
  }
}
