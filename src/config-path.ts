import { resolve } from 'node:path';

/** Of what a user wrote, seen from `base`. A `~` in front is the home folder: no shell reads the one of `--out=~/pictures`. */
export function absolutePath(written: string, base: string, home: string): string {
  return resolve(base, written.replace(/^~(?=\/|$)/, home));
}
