/** Keys and passwords are in memory; what is in memory ends up in core dumps. */
import { writeFileSync } from 'node:fs';

/**
 * From now on a core dump of this process, and of every process it starts, has threads and registers and no memory: proc(5),
 * coredump_filter. Whether it is so; a kernel without core dumps has no such file.
 */
export function keepMemoryOutOfCores(filter = '/proc/self/coredump_filter'): boolean {
  try {
    writeFileSync(filter, '0');
    return true;
  } catch {
    return false;
  }
}
