# Certificates, made in the scenario and gone with it. $PKI/NAME.crt and NAME.key, PEM.
# shellcheck shell=bash
PKI=$RUN/pki

# with its own short plugin list: the default one takes seconds a call.
pki() { STRONGSWAN_CONF=$PKI/strongswan.conf command pki "$@"; }
pki_start() {
  mkdir -p "$PKI"
  echo 'pki { load = random nonce sha1 sha2 pem pkcs1 x509 revocation constraints openssl }' > "$PKI/strongswan.conf"
}
# key NAME rsa|ecdsa
key() {
  local bits=2048
  [ "$2" = rsa ] || bits=256
  (umask 077; pki --gen --type "$2" --size $bits --outform pem > "$PKI/$1.key") || fail "no key for $1"
}
# ca NAME: a self-signed CA.
ca() {
  key "$1" ecdsa
  pki --self --ca --type priv --in "$PKI/$1.key" --dn "C=CH, O=lab, CN=$1" --outform pem > "$PKI/$1.crt" || fail "no CA $1"
}
# issue CA NAME rsa|ecdsa [COMMON-NAME]: a certificate and its key.
issue() {
  key "$2" "$3"
  pki --issue --type priv --in "$PKI/$2.key" --cacert "$PKI/$1.crt" --cakey "$PKI/$1.key" --dn "C=CH, O=lab, CN=${4:-$2}" \
    --outform pem > "$PKI/$2.crt" || fail "no certificate for $2"
}
# crl CA NAME...: the CA's list with these revoked, $PKI/CA.crl.
crl() {
  local ca=$1 name revoked=()
  shift
  for name in "$@"; do revoked+=(--cert "$PKI/$name.crt"); done
  pki --signcrl --cacert "$PKI/$ca.crt" --cakey "$PKI/$ca.key" ${revoked[@]+"${revoked[@]}"} --outform pem > "$PKI/$ca.crl" \
    || fail "no list of $ca"
}
# give HOST NAME CA: what HOST authenticates with, and the CA it takes of the gateway.
give() {
  local dir=$RUN/$1
  mkdir -p "$dir"/{x509,x509ca,private}
  rm -f "$dir"/{x509,x509ca,private}/*
  cp "$PKI/$2.crt" "$dir/x509/client.pem"
  cp "$PKI/$3.crt" "$dir/x509ca/ca.pem"
  cp "$PKI/$2.key" "$dir/private/client.pem"
}
# retry HOST: with what it was given last.
retry() {
  check "$1: charon has its configuration" swan "$1" --load-all --clear --noprompt --file "$RUN/$1/swanctl.conf"
}
