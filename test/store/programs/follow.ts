/**
 * Reads the ledger page by page while others write, until its input ends and nothing more comes; then says how many rows
 * it saw, each once. It fails where a row came out of order, or where the sums did not have what was read before them.
 *
 *   follow.ts FILE
 */
import { writeSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { openSqliteStore } from '../../../src/store/sqlite.ts';

const EVER = { from: 0, to: Number.POSITIVE_INFINITY };
const [path = ''] = process.argv.slice(2);
const store = await openSqliteStore({ path, clock: Date });
let ended = false;
process.stdin.resume().once('end', () => {
  ended = true;
});

let [seen, after] = [0, 0];
for (let last = false; !last; ) {
  last = ended;
  for (;;) {
    const page = await store.ledger(EVER, after, 20);
    if (page.length === 0) break;
    for (const { seq } of page) {
      if (seq <= after) throw new Error(`row ${seq} came after ${after}`);
      after = seq;
    }
    seen += page.length;
    const sums = await store.sums(EVER, ['run']);
    const summed = sums.reduce((total, { entries }) => total + entries, 0);
    if (summed < seen) throw new Error(`${summed} rows are summed, and ${seen} were read before`);
    writeSync(1, `read ${seen}\n`);
  }
  await nextTurn();
}
writeSync(1, `saw ${seen}\n`);
await store.close();
