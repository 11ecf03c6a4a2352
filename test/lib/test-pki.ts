/** Certificates for tests, made by the openssl command in a directory of the test. */
import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export class TestPki {
  constructor(readonly dir: string) {}

  path(name: string): string {
    return join(this.dir, name);
  }

  read(name: string): string {
    return readFileSync(this.path(name), 'utf8');
  }

  write(name: string, text: string | Uint8Array, mode = 0o600): string {
    writeFileSync(this.path(name), text, { mode });
    chmodSync(this.path(name), mode);
    return this.path(name);
  }

  /** NAME.key and the self-signed NAME.crt. */
  ca(name: string): void {
    this.#key(name, 'ec');
    this.#openssl(
      `req -x509 -new -key ${name}.key -out ${name}.crt -days 3650 -subj /CN=${name} -addext basicConstraints=critical,CA:TRUE`,
    );
  }

  /** NAME.key and NAME.crt, issued by `ca`. */
  issue(ca: string, name: string, { kind = 'ec', subject = name, days = 3650, isCa = false } = {}): void {
    this.#key(name, kind);
    this.#openssl(`req -new -key ${name}.key -out ${name}.csr -subj /CN=${subject}`);
    this.write(`${name}.ext`, `basicConstraints=CA:${isCa ? 'TRUE' : 'FALSE'}\n`);
    this.#openssl(
      `x509 -req -in ${name}.csr -CA ${ca}.crt -CAkey ${ca}.key -CAcreateserial -out ${name}.crt -days ${days} -extfile ${name}.ext`,
    );
  }

  #key(name: string, kind: string): void {
    this.#openssl(
      kind === 'rsa'
        ? `genrsa -out ${name}.key 2048`
        : kind === 'ed25519'
          ? `genpkey -algorithm ed25519 -out ${name}.key`
          : `ecparam -genkey -name prime256v1 -noout -out ${name}.key`,
    );
    chmodSync(this.path(`${name}.key`), 0o600);
  }

  #openssl(command: string): void {
    execFileSync('openssl', command.split(' '), { cwd: this.dir, stdio: 'pipe' });
  }
}
