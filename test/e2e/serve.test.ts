import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Kiln, type Running } from '../support/kiln.ts';

const SLOW = { KW_FAKE: JSON.stringify({ step_seconds: 0.03 }) };
const prompts = (word: string, count: number) => Array.from({ length: count }, (_, at) => `${word} ${at}`).join('\n');

let kiln: Kiln;
beforeEach(() => {
  kiln = new Kiln(SLOW);
});
afterEach(() => kiln.close());

async function serving(env: Record<string, string> = {}): Promise<Running> {
  const server = kiln.start(['serve'], env);
  await server.errorLine(/^Serving /);
  return server;
}

async function submitted(name: string, count: number, ...flags: readonly string[]): Promise<void> {
  const ended = await kiln.run(['submit', kiln.write(`${name}.txt`, prompts(name, count)), '--name', name, ...flags]);
  expect(ended.code, ended.stderr).toBe(0);
}

/** How many jobs of the run are in each state. */
function states(name: string): Record<string, number> {
  const rows = kiln.rows(
    `SELECT state, count(*) AS n FROM jobs JOIN runs ON runs.id = run_id WHERE name = '${name}' GROUP BY state`,
  );
  return Object.fromEntries(rows.map((row) => [String(row.state), Number(row.n)]));
}

const until = (name: string, wanted: Record<string, number>, timeout = 20_000) =>
  vi.waitFor(() => expect(states(name)).toEqual(wanted), { timeout, interval: 50 });

async function stopped(server: Running): Promise<void> {
  server.process.kill('SIGTERM');
  const ended = await server.ended;
  expect([ended.code, ended.signal], ended.stderr).toEqual([0, null]);
}

function workersOf(pid: number | undefined): readonly string[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean),
  );
  return children.filter((child) => readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('kilnwatt_worker'));
}

describe('serve', () => {
  it('makes what was submitted before it started and while it works, and ends with 0 when it is told to', async () => {
    await submitted('before', 6);
    expect(states('before')).toEqual({ submitting: 6 });
    const server = await serving();
    await submitted('while', 6);
    await Promise.all([until('before', { done: 6 }), until('while', { done: 6 })]);
    await stopped(server);
    const { stdout } = await server.ended;
    expect(stdout).toMatch(/^before: 6\/6, /m);
    expect(stdout).toMatch(/^while: 6\/6, /m);
    expect(kiln.pictures()).toHaveLength(12);
    expect(kiln.leftovers()).toEqual([]);
  });

  it('goes on after its SIGKILL with nothing lost and nothing made twice; what it was making comes last, alone', async () => {
    await submitted('a', 30);
    const killed = await serving();
    await vi.waitFor(() => expect(states('a').done).toBeGreaterThan(3), { timeout: 20_000, interval: 20 });
    killed.process.kill('SIGKILL');
    await killed.ended;
    const interrupted = kiln.rows("SELECT id FROM jobs WHERE state = 'running'").length;
    const server = await serving();
    await until('a', { done: 30 });
    await stopped(server);
    expect(kiln.rows("SELECT count(*) AS n FROM entries WHERE kind = 'active'")).toEqual([{ n: 30 }]);
    expect(kiln.pictures()).toHaveLength(30);
    expect(kiln.leftovers()).toEqual([]);
    expect(kiln.rows('SELECT id FROM jobs WHERE cut_offs = 1').length).toBe(interrupted);
    expect(kiln.rows("SELECT id FROM entries WHERE cause = 'redone'")).toEqual([]);
  });

  it('waits for whoever owns the data folder, and takes over when that one has left', async () => {
    // Long enough to be there still when the server has started, however slow the machine is.
    const first = kiln.start(['run', kiln.write('a.txt', prompts('a', 400)), '--name', 'a', '--json']);
    await first.line(/"state":"running"/);
    const server = kiln.start(['serve']);
    await server.errorLine(/Another kilnwatt owns this data folder/);
    first.process.kill('SIGINT');
    expect((await first.ended).code).toBe(130);
    await server.errorLine(/^Serving /);
    await submitted('b', 2);
    await until('b', { done: 2 });
    await stopped(server);
  });

  it('goes on with a run whose command was left by Ctrl-C, and its cancelling ends what is not made', async () => {
    const server = await serving();
    const run = kiln.start(['run', kiln.write('a.txt', prompts('a', 60)), '--name', 'a', '--json']);
    await run.line(/"event":"image"/);
    run.process.kill('SIGINT');
    const left = await run.ended;
    expect(left.code).toBe(130);
    expect(left.stderr).toMatch(/Left the run a: .*`kilnwatt runs cancel a` takes it out/);
    const before = states('a').done ?? 0;
    await vi.waitFor(() => expect(states('a').done).toBeGreaterThan(before), { timeout: 10_000, interval: 20 });
    const cancelled = await kiln.run(['runs', 'cancel', 'a', '--json']);
    const { changed } = JSON.parse(cancelled.stdout) as { changed: number };
    expect(changed).toBeGreaterThan(0);
    await vi.waitFor(
      () => {
        const { done = 0, cancelled: gone = 0, ...others } = states('a');
        expect([done + gone, others]).toEqual([60, {}]);
      },
      { timeout: 20_000, interval: 20 },
    );
    await vi.waitFor(() => expect(kiln.pictures()).toHaveLength(states('a').done ?? 0), {
      timeout: 20_000,
      interval: 20,
    });
    await stopped(server);
  });
});

describe('a run whose jobs are cancelled', () => {
  it('ends with 3 when nothing else is left of it, and makes them after all when they are tried again', async () => {
    kiln = new Kiln({ KW_FAKE: JSON.stringify({ step_seconds: 0.3 }) });
    const run = kiln.start(['run', kiln.write('a.txt', prompts('a', 6)), '--name', 'a', '--json']);
    await run.line(/"state":"running"/);
    expect((await kiln.run(['jobs', 'cancel', 'a/1', 'a/6'])).stdout).toBe('2 jobs cancelled\n');
    const ended = await run.ended;
    expect(ended.code, ended.stderr).toBe(3);
    expect(ended.stderr).toMatch(/2 pictures cancelled; `kilnwatt jobs retry` has them made after all/);
    expect(states('a')).toEqual({ done: 4, cancelled: 2 });
    expect(kiln.pictures()).toHaveLength(4);
    const ls = await kiln.run(['jobs', 'ls', '--run', 'a', '--state', 'cancelled']);
    expect(ls.stdout).toBe('a/1  cancelled    a 0\na/6  cancelled    a 5\n');
    const kept = await kiln.run(['jobs', 'cancel', 'a/2']);
    expect([kept.stdout, kept.stderr]).toEqual(['0 jobs cancelled\n', 'a/2 is done: settled already\n']);
    expect((await kiln.run(['jobs', 'retry', 'a/1', 'a/6'])).stdout).toBe('2 jobs to be made again\n');
    expect((await kiln.run(['runs', 'retry', 'a'])).stdout).toBe('0 failed jobs of a to be made again.\n');
    const server = await serving({ KW_FAKE: '{}' });
    await until('a', { done: 6 });
    await stopped(server);
  });
});

describe('pause', () => {
  it('frees the card when the running batch has ended, and resume goes on', async () => {
    const server = await serving();
    await submitted('a', 24);
    await vi.waitFor(() => expect(states('a').done).toBeGreaterThan(0), { timeout: 20_000, interval: 20 });
    const paused = await kiln.run(['pause', '--for', '2h']);
    expect(paused.stdout).toMatch(
      /^Paused until \d\d:\d\d.*, or until `kilnwatt resume`\. The running batch is finished/,
    );
    await vi.waitFor(() => expect(workersOf(server.process.pid)).toEqual([]), { timeout: 10_000, interval: 50 });
    const before = states('a');
    expect(before.running).toBeUndefined();
    expect(before.queued).toBeGreaterThan(0);
    expect((await kiln.run(['resume'])).stdout).toBe('Going on.\n');
    await until('a', { done: 24 });
    await stopped(server);
  });

  it('now gives the running batch up, which does not count against its jobs', async () => {
    kiln = new Kiln({ KW_FAKE: JSON.stringify({ step_seconds: 1 }) });
    const server = await serving();
    await submitted('a', 4);
    await vi.waitFor(() => expect(states('a')).toEqual({ running: 4 }), { timeout: 20_000, interval: 20 });
    await kiln.run(['pause', '--now']);
    await until('a', { queued: 4 }, 5_000);
    expect(kiln.rows('SELECT DISTINCT deaths, cut_offs, failures FROM jobs')).toEqual([
      { deaths: 0, cut_offs: 0, failures: 0 },
    ]);
    await kiln.run(['runs', 'cancel', 'a']);
    await kiln.run(['resume']);
    await stopped(server);
  });

  it('of a bad time is refused with its flag', async () => {
    for (const [flag, value] of [
      ['--for', 'soon'],
      ['--until', '25:00'],
    ] as const) {
      const ended = await kiln.run(['pause', flag, value]);
      expect([ended.code, ended.stderr]).toEqual([2, expect.stringContaining(`kilnwatt: ${flag}: `)]);
    }
  });
});

describe('priorities', () => {
  it('let one prompt pass a file that was submitted before', async () => {
    const server = await serving();
    await submitted('bulk', 60);
    await vi.waitFor(() => expect(states('bulk').done).toBeGreaterThan(0), { timeout: 20_000, interval: 20 });
    const urgent = await kiln.run(['run', 'now', '--name', 'urgent', '--json']);
    expect(urgent.code, urgent.stderr).toBe(0);
    expect(states('bulk').queued).toBeGreaterThan(20);
    await stopped(server);
  });
});

it('what is not there is refused with its name', async () => {
  for (const args of [
    ['jobs', 'show', 'nobody/3'],
    ['jobs', 'cancel', 'nobody'],
    ['runs', 'show', 'nobody'],
    ['runs', 'resume', 'nobody'],
    ['jobs', 'ls', '--run', 'nobody'],
  ]) {
    const ended = await kiln.run(args);
    expect([args, ended.code, ended.stdout]).toEqual([args, 2, '']);
    expect(ended.stderr).toMatch(/^kilnwatt: nobody.*: there is no such (job|run)/);
  }
});

describe('a submitted run', () => {
  it('is no longer made of lines that its file has no more', async () => {
    await submitted('a', 6);
    const file = kiln.write('a.txt', ['a 0', 'a 1', 'something new'].join('\n'));
    const again = await kiln.run(['submit', file, '--name', 'a']);
    expect(again.stdout).toBe('Submitted a: 3 pictures to make, 4 no longer asked for\n');
    const server = await serving();
    await until('a', { done: 3, cancelled: 4 });
    await stopped(server);
    expect(kiln.pictures()).toHaveLength(3);
  });
});

describe('a kilnwatt that does nothing says why', () => {
  it('outside of its hours: serve, submit and the lists of runs', async () => {
    const hours = new Date(Date.now() + 2 * 3_600_000).getHours();
    const span = `${String(hours).padStart(2, '0')}:00-${String((hours + 1) % 24).padStart(2, '0')}:00`;
    const env = { KILNWATT_HOURS: span };
    const server = await serving(env);
    await server.errorLine(/^Outside of the hours: nothing is begun now\.$/);
    const submit = await kiln.run(['submit', kiln.write('a.txt', prompts('a', 2)), '--name', 'a'], env);
    expect(submit.stderr).toContain(`Nothing is begun now: outside of the hours (${span}) until `);
    expect((await kiln.run(['runs', 'show', 'a'], env)).stdout).toMatch(/^waits for +outside of the hours/m);
    expect(states('a').done).toBeUndefined();
    await stopped(server);
  });

  it('in a pause, and when a run was interrupted', async () => {
    await kiln.run(['pause']);
    await submitted('a', 2);
    expect((await kiln.run(['runs', 'ls'])).stderr).toBe('Nothing is begun now: paused until `kilnwatt resume`.\n');
    await kiln.run(['resume']);
    const run = kiln.start(['run', kiln.write('b.txt', prompts('b', 40)), '--name', 'b', '--json']);
    await run.line(/"event":"image"/);
    run.process.kill('SIGINT');
    await run.ended;
    const server = await serving();
    await server.errorLine(/^The run b was interrupted; `kilnwatt runs resume b` has it made here\.$/);
    await until('a', { done: 2 });
    expect((await kiln.run(['runs', 'resume', 'b'])).stdout).toMatch(/^b goes on: \d+ jobs submitted again\.$/m);
    expect((await kiln.run(['runs', 'resume', 'a'])).stdout).toBe('Nothing of a is interrupted or held.\n');
    await until('b', { done: 40 });
    await stopped(server);
  });
});
