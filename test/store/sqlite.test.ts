import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe } from 'vitest';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { storeContract } from '../contracts/store.ts';

describe('the store in a SQLite file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kilnwatt-store-'));
  let files = 0;

  afterAll(() => rmSync(folder, { recursive: true }));

  storeContract((clock) => openSqliteStore({ path: join(folder, `${++files}.db`), clock }));
});
