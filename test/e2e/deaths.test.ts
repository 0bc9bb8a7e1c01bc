import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { TestServer } from '../queue/server.ts';
import { Kiln, type Running } from '../support/kiln.ts';

let kiln: Kiln;
afterEach(() => kiln.close());

const SLOW = { KW_FAKE: JSON.stringify({ step_seconds: 0.03 }) };
const PROMPTS = Array.from({ length: 24 }, (_, at) => `prompt ${at}`).join('\n');

describe('a run whose helpers die', () => {
  it('goes on when the queue server is killed, and makes every picture once', async () => {
    kiln = new Kiln(SLOW);
    const running = await begun();
    process.kill(Number(readFileSync(join(kiln.data, 'valkey/server.pid'), 'utf8')), 'SIGKILL');
    await expectWhole(running);
  });

  it('goes on when the Python worker is killed, and books the lost batch as overhead', async () => {
    // Every step says so: between two batches there would be nothing to lose.
    kiln = new Kiln({ KW_FAKE: JSON.stringify({ step_seconds: 0.05, chatter: true }), KILNWATT_LOG_LEVEL: 'debug' });
    const running = start();
    await running.errorLine(/ step 1\b/);
    process.kill(workerOf(running.process.pid ?? 0), 'SIGKILL');
    await expectWhole(running);
    expect(kiln.rows("SELECT DISTINCT cause FROM entries WHERE kind = 'overhead' ORDER BY 1")).toEqual([
      { cause: 'failed' },
      { cause: 'load' },
    ]);
  });

  it('goes on with a server of somebody else that was emptied, because the database knows every job', async () => {
    kiln = new Kiln(SLOW);
    const server = new TestServer();
    try {
      await server.start();
      const running = await begun('--redis-url', `unix://${server.socketPath}`);
      await server.raw((redis) => redis.flushall());
      await expectWhole(running);
      expect((await running.ended).stderr).toMatch(/The queue had lost \d+ jobs; back from the database/);
    } finally {
      await server.close();
    }
  });
});

function start(...flags: readonly string[]): Running {
  return kiln.start(['run', kiln.write('p.txt', PROMPTS), '--name', 'deaths', '--json', ...flags]);
}

async function begun(...flags: readonly string[]): Promise<Running> {
  const running = start(...flags);
  await running.line(/"event":"image"/);
  return running;
}

async function expectWhole(running: Running): Promise<void> {
  const ended = await running.ended;
  expect(ended.code, ended.stderr).toBe(0);
  expect(Kiln.events(ended).at(-1)).toMatchObject({ jobs: 24, images: 24, failed: 0, left: 0 });
  expect(kiln.pictures()).toHaveLength(24);
  expect(kiln.leftovers()).toEqual([]);
  expect(kiln.rows("SELECT count(*) AS n FROM entries WHERE kind = 'active'")).toEqual([{ n: 24 }]);
}

function workerOf(pid: number): number {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
  const worker = children.find((child) => readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('kilnwatt_worker'));
  if (worker === undefined) throw new Error('the run has no Python worker');
  return worker;
}
