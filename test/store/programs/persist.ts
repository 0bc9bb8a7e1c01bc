/**
 * Writes runs into the file until it is refused, says with which code and whether waiting may mend that, and then tries
 * the same again for every line of its input: a process whose files may not grow for a while.
 *
 *   persist.ts FILE
 */
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { AppError } from '../../../src/errors.ts';
import { isMendable } from '../../../src/gate.ts';
import { openSqliteStore } from '../../../src/store/sqlite.ts';
import { runWrite } from '../samples.ts';

const [path = ''] = process.argv.slice(2);
const store = await openSqliteStore({ path, clock: Date });
let number = 0;

async function persist(most: number): Promise<string> {
  for (const end = number + most; number < end; number += 1) {
    try {
      await store.writeRun(runWrite(`r${number}`, 200));
    } catch (error) {
      return `${isMendable(error) ? 'mendable' : 'fatal'} ${error instanceof AppError ? error.code : error}`;
    }
  }
  return 'taken';
}

writeSync(1, `${await persist(500)}\n`);
for await (const _ of createInterface({ input: process.stdin })) writeSync(1, `${await persist(5)}\n`);
await store.close();
