import type { Bytes } from '../units.ts';

/** `15.6 GiB` */
export function gibibytes(bytes: Bytes): string {
  return `${(bytes / 1024 ** 3).toFixed(1)} GiB`;
}
