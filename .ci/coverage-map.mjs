// Which source files a compiled test covers: test/wire -> src/wire, test/proto -> src/proto (the coverage gate's ground).
import { readdirSync } from 'node:fs';

const under = (dir) =>
  readdirSync(dir, { recursive: true })
    .filter((f) => f.endsWith('.js'))
    .map((f) => `${dir}/${f}`);

export default (test) =>
  /^dist\/test\/(wire|proto)\//.test(test) ? [...under('dist/src/wire'), ...under('dist/src/proto')] : [];
