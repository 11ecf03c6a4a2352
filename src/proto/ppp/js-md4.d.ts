// The part of js-md4 we use: Node's OpenSSL 3 has no MD4, and RFC 2759 §8.3 needs it.
declare module 'js-md4' {
  interface Hasher {
    update(message: Uint8Array): Hasher;
    arrayBuffer(): ArrayBuffer;
  }
  const md4: { create(): Hasher };
  export default md4;
}
