import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Kiln } from '../support/kiln.ts';

let kiln: Kiln;
afterEach(() => kiln.close());

const HOLD_LOCK = resolve(import.meta.dirname, '../process/hold-lock.ts');
const SLOW = { KW_FAKE: JSON.stringify({ step_seconds: 0.02 }) };
const prompts = (word: string, count: number) => Array.from({ length: count }, (_, at) => `${word} ${at}`).join('\n');

describe('two runs at once on one data folder', () => {
  it('both end well: one owns, the other attaches and takes over when the first has left', async () => {
    kiln = new Kiln(SLOW);
    const first = kiln.start(['run', kiln.write('a.txt', prompts('a', 8)), '--name', 'a', '--json']);
    await first.line(/"state":"running"/);
    const second = kiln.start(['run', kiln.write('b.txt', prompts('b', 24)), '--name', 'b', '--json']);
    const [a, b] = await Promise.all([first.ended, second.ended]);
    expect([a.code, b.code], `${a.stderr}\n${b.stderr}`).toEqual([0, 0]);
    expect(Kiln.events(a).at(-1)).toMatchObject({ images: 8, left: 0 });
    expect(Kiln.events(b).at(-1)).toMatchObject({ images: 24, left: 0 });
    expect(kiln.pictures()).toHaveLength(32);
    expect(kiln.rows("SELECT count(*) AS n FROM entries WHERE kind = 'active'")).toEqual([{ n: 32 }]);
  });

  it('survive the SIGKILL of the owner: the attached one takes over, and the dead one can be resumed', async () => {
    kiln = new Kiln(SLOW);
    const owner = kiln.start(['run', kiln.write('a.txt', prompts('a', 40)), '--name', 'a', '--json']);
    await owner.line(/"event":"image"/);
    const attached = kiln.start(['run', kiln.write('b.txt', prompts('b', 8)), '--name', 'b', '--json']);
    await attached.line(/"state":"queued"/);
    owner.process.kill('SIGKILL');
    const b = await attached.ended;
    expect(b.code, b.stderr).toBe(0);
    expect(Kiln.events(b).at(-1)).toMatchObject({ images: 8, left: 0 });
    const resumed = await kiln.run(['run', 'a.txt', '--name', 'a', '--json']);
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(kiln.pictures()).toHaveLength(48);
    expect(kiln.rows("SELECT count(*) AS n FROM entries WHERE kind = 'active'")).toEqual([{ n: 48 }]);
  });

  it('both make their pictures when nobody named them and they begin in the same moment', async () => {
    kiln = new Kiln();
    const args = ['run', kiln.write('a.txt', prompts('a', 4)), '--json'];
    const ended = await Promise.all([kiln.run(args), kiln.run(args), kiln.run(args)]);
    expect(
      ended.map(({ code }) => code),
      ended.map(({ stderr }) => stderr).join('\n'),
    ).toEqual([0, 0, 0]);
    for (const each of ended) expect(Kiln.events(each).at(-1)).toMatchObject({ images: 4, left: 0 });
    expect(kiln.rows('SELECT DISTINCT name FROM runs')).toHaveLength(3);
    expect(kiln.pictures()).toHaveLength(12);
  });

  it('of one name that begin in the same moment: one makes everything, and the other takes nothing from it', async () => {
    kiln = new Kiln();
    const args = ['run', kiln.write('a.txt', prompts('a', 2)), '--name', 'a', '--json'];
    await kiln.run(args);
    kiln.write('a.txt', prompts('a', 30));
    const ended = await Promise.all([kiln.run(args), kiln.run(args)]);
    const codes = ended.map(({ code }) => code).sort();
    expect(
      [
        [0, 0],
        [0, 2],
      ],
      ended.map(({ stderr }) => stderr).join('\n'),
    ).toContainEqual(codes);
    expect(kiln.pictures()).toHaveLength(30);
    expect(kiln.rows("SELECT id FROM jobs WHERE state <> 'done'")).toEqual([]);
  });

  it('refuse the same name at the same time', async () => {
    kiln = new Kiln({ KW_FAKE: JSON.stringify({ step_seconds: 60 }) });
    const args = ['run', kiln.write('a.txt', prompts('a', 2)), '--name', 'a', '--json'];
    await kiln.start(args).line(/"state":"running"/);
    const second = await kiln.run(args);
    expect(second.code).toBe(2);
    expect(second.stderr).toContain('the run a is being made by another process');
  });
});

describe('Ctrl-C', () => {
  it('ends the command at once while nothing is queued', async () => {
    kiln = new Kiln();
    const holder = spawn(process.execPath, [HOLD_LOCK, 'lock', join(kiln.data, 'owner.lock')]);
    try {
      await once(holder.stdout, 'data');
      const running = kiln.start(['run', 'a cat', '--json']);
      await vi.waitFor(() => expect(kiln.rows('SELECT id FROM runs')).toEqual([]), { timeout: 20_000 });
      running.process.kill('SIGINT');
      expect(await running.ended).toMatchObject({ code: 130, stdout: '', stderr: 'Interrupted.\n' });
    } finally {
      holder.kill('SIGKILL');
    }
  });

  it('once finishes the running batch, takes the rest out, and says how to go on', async () => {
    kiln = new Kiln(SLOW);
    const args = ['run', kiln.write('a.txt', prompts('a', 20)), '--name', 'a', '--json'];
    const running = kiln.start(args);
    await running.line(/"event":"image"/);
    running.process.kill('SIGINT');
    const ended = await running.ended;
    expect(ended.code).toBe(130);
    expect(ended.stderr).toContain('the same command goes on where it stopped');
    const summary = Kiln.events(ended).at(-1);
    expect(summary).toMatchObject({ event: 'summary', jobs: 20, failed: 0 });
    expect(Number(summary?.images)).toBeGreaterThan(0);
    expect(Number(summary?.left)).toBeGreaterThan(0);
    expect(Number(summary?.images) + Number(summary?.left)).toBe(20);
    expect(kiln.leftovers()).toEqual([]);
    const again = Kiln.events(await kiln.run(args));
    expect(again.at(-1)).toMatchObject({ cached: summary?.images, images: summary?.left, left: 0 });
  });

  it('twice stops now, and loses nothing', async () => {
    kiln = new Kiln({ KW_FAKE: JSON.stringify({ step_seconds: 60 }) });
    const args = ['run', kiln.write('a.txt', prompts('a', 6)), '--name', 'a', '--json'];
    const running = kiln.start(args);
    await running.line(/"state":"running"/);
    running.process.kill('SIGINT');
    running.process.kill('SIGTERM');
    expect((await running.ended).code).toBe(130);
    const again = await kiln.run(args, { KW_FAKE: '{}' });
    expect(again.code, again.stderr).toBe(0);
    expect(kiln.pictures()).toHaveLength(6);
  });
});
