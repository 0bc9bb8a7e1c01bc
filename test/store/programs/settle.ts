/**
 * Makes a run in the file and settles it batch by batch, with what a card of its own burnt meanwhile, saying so before and
 * after each: a process to be killed in the middle, or to be run beside another.
 *
 *   settle.ts FILE RUN BATCHES SIZE
 */
import { writeSync } from 'node:fs';
import { openSqliteStore } from '../../../src/store/sqlite.ts';
import { markAt, stretchOf } from '../ledger-samples.ts';
import { madeIn, runWrite } from '../samples.ts';

const [path = '', run = '', batches = '0', size = '0'] = process.argv.slice(2);
const store = await openSqliteStore({ path, clock: Date });
await store.writeRun(runWrite(run, Number(batches) * Number(size)));
await store.markQueued(run);
for (let number = 0; number < Number(batches); number++) {
  const indexes = Array.from({ length: Number(size) }, (_, place) => number * Number(size) + place);
  writeSync(1, `settling ${number}\n`);
  const gpu = `card of ${run}`;
  const meter = { marks: [markAt(number + 1, { gpu })], stretches: [stretchOf(number, number + 1, { gpu })] };
  await store.settle({ ...madeIn(`${run}-b-${number}`, run, indexes), meter });
  writeSync(1, `settled ${number}\n`);
}
await store.close();
