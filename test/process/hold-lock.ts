/**
 * A process of its own for lock.test.ts: `hold-lock.ts lock <path>` or `hold-lock.ts presence <folder> <launch>`.
 * Takes the lock, drops the handle, prints `held` or `refused`, and stays until its input ends.
 */
import { Presence, tryLock } from '../../src/process/lock.ts';

const [kind, path = '', launch = ''] = process.argv.slice(2);

const said = hold();
// With --expose-gc: whatever is not kept by the lock itself is gone before it says a word.
globalThis.gc?.();
setImmediate(() => {
  globalThis.gc?.();
  console.log(said);
});
process.stdin.on('end', () => process.exit(0)).resume();

function hold(): string {
  if (kind === 'lock') return tryLock(path) === undefined ? 'refused' : 'held';
  new Presence(path, launch).claim();
  return 'held';
}
