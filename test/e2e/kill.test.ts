import { afterEach, describe, expect, it } from 'vitest';
import { Kiln } from '../support/kiln.ts';

let kiln: Kiln;
afterEach(() => kiln.close());

const PROMPTS = Array.from({ length: 10 }, (_, at) => `prompt ${at}`).join('\n');

/** Every step between the plan and *completed* at which a process may die. */
const FAULTS = [
  'run_written',
  'run_enqueued',
  'receipt_computed',
  'metadata_written',
  'image_synced',
  'image_linked',
  'folder_synced',
  'batch_finished',
  'transaction_committed',
];

describe('a run that is killed and started again', () => {
  it.each(FAULTS)('makes every picture once, with one active receipt each, when killed at %s', async (fault) => {
    kiln = new Kiln();
    const args = ['run', kiln.write('p.txt', PROMPTS), '--name', 'killed', '--json'];
    const killed = await kiln.run(args, { KILNWATT_FAULT: fault });
    expect(killed.signal).toBe('SIGKILL');
    const again = await kiln.run(args);
    expect(again.code, again.stderr).toBe(0);
    expectWhole(10);
    expect(Kiln.events(again).at(-1)).toMatchObject({ jobs: 10, failed: 0, left: 0 });
  });

  it('goes on without its --name too, and says so', async () => {
    kiln = new Kiln();
    const args = ['run', kiln.write('p.txt', PROMPTS), '--json'];
    await kiln.run(args, { KILNWATT_FAULT: 'transaction_committed' });
    const again = await kiln.run(args);
    expect(again.stderr).toMatch(/had been cut off/);
    expect(Kiln.events(again)[0]).toMatchObject({ event: 'run', resumed: true, cached: 4, to_make: 6 });
    expectWhole(10);
    const third = await kiln.run(args);
    expect(Kiln.events(third)[0]).toMatchObject({ resumed: false, to_make: 10 });
  });

  it('is not doubled when it is killed in the middle by someone else', async () => {
    kiln = new Kiln({ KW_FAKE: JSON.stringify({ step_seconds: 0.01 }) });
    const args = ['run', kiln.write('p.txt', PROMPTS), '--name', 'killed', '--json'];
    const running = kiln.start(args);
    await running.line(/"event":"image"/);
    running.process.kill('SIGKILL');
    await running.ended;
    expect((await kiln.run(args)).code).toBe(0);
    expectWhole(10);
  });
});

function expectWhole(count: number): void {
  expect(kiln.pictures()).toHaveLength(count);
  expect(kiln.leftovers()).toEqual([]);
  const jobs = kiln.rows("SELECT job_id, count(*) AS n FROM entries WHERE kind = 'active' GROUP BY job_id");
  expect(jobs).toHaveLength(count);
  expect(jobs.every((job) => job.n === 1)).toBe(true);
  expect(kiln.rows("SELECT id FROM jobs WHERE state <> 'done'")).toEqual([]);
}
