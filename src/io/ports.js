/**
 * What the daemon sees of the IKE daemon and of the clock: small ports, each with an in-memory twin. Read RFC 3193 §3
 * (what L2TP must learn from IKE) and the VICI README of strongSwan first.
 */
export {};
//# sourceMappingURL=ports.js.map