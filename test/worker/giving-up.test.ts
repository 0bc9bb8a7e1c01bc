import { getEventListeners } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { AppError } from '../../src/errors.ts';
import { systemClock } from '../../src/process/clock.ts';
import { workerLimits } from '../../src/worker/limits.ts';
import { Supervisor } from '../../src/worker/supervisor.ts';
import { PYTHON, WORKER_DIR } from '../support/python.ts';
import { obliging } from './fake-worker.ts';
import { batchOf, ENGINE, made, superviseFakes } from './supervised.ts';

const LIMIT = workerLimits('cpu').cancel;
const TOO_LONG = new AppError('the job took longer than 60 s', { code: 'time_limit' });

describe('a job that is given up', () => {
  it('is cancelled alone, and fails with the reason; the others are made', async () => {
    const { report, latest, giveUp } = await underWay(['a', 'b', 'c']);
    giveUp('b', TOO_LONG);
    expect(latest().last('cancel')).toMatchObject({ batch: 'batch', jobs: ['b'] });
    latest().cancelled('b');
    latest().image('a');
    latest().image('c');
    latest().done();
    expect((await report).answers).toEqual([
      made('a'),
      { kind: 'failure', job: 'b', code: 'time_limit', message: TOO_LONG.message, retryable: false },
      made('c'),
    ]);
  });

  it('is cancelled for itself also where several are given up at once', async () => {
    const { report, latest, giveUp } = await underWay(['a', 'b']);
    giveUp('a', TOO_LONG);
    giveUp('b', new Error('the user took it back'));
    expect(latest().orders.filter(({ type }) => type === 'cancel')).toMatchObject([{ jobs: ['a'] }, { jobs: ['b'] }]);
    latest().cancelled('a', 'b');
    latest().done();
    expect((await report).answers).toMatchObject([
      { code: 'time_limit' },
      { code: 'cancelled', message: 'the user took it back', retryable: false },
    ]);
  });

  it('keeps its picture if that came first', async () => {
    const { report, latest, giveUp } = await underWay(['a', 'b']);
    latest().image('a');
    giveUp('a', TOO_LONG);
    giveUp('b', TOO_LONG);
    latest().image('b');
    latest().done();
    expect((await report).answers).toEqual([made('a'), made('b')]);
    expect(latest().orders.filter(({ type }) => type === 'cancel')).toHaveLength(1);
  });

  it('never costs its neighbours their batch, however long the step is in which they are made', async () => {
    const { report, latest, giveUp, clock, supervisor } = await underWay(['a', 'b', 'c']);
    latest().image('a');
    giveUp('b', TOO_LONG);
    for (let waited = 0; waited < 10 * LIMIT; waited += LIMIT) {
      latest().say('heartbeat', { phase: 'denoise', rss_bytes: 1 });
      clock.advance(LIMIT);
    }
    expect(supervisor.state).toBe('generating');
    latest().cancelled('b');
    latest().image('c');
    latest().done();
    expect((await report).answers).toMatchObject([{ kind: 'made' }, { code: 'time_limit' }, { kind: 'made' }]);
  });

  it('and is the last that is open costs the worker its life, if it is not left out within the limit', async () => {
    const { report, latest, giveUp, clock, supervisor } = await underWay(['a', 'b', 'c']);
    latest().image('a');
    giveUp('b', TOO_LONG);
    clock.advance(5_000);
    latest().image('c');
    clock.advance(LIMIT - 1);
    expect(supervisor.state).toBe('generating');
    clock.advance(1);
    expect((await report).answers).toMatchObject([{ kind: 'made' }, { code: 'time_limit' }, { kind: 'made' }]);
    await supervisor.ensureLoaded(ENGINE);
    expect(clock.monotonic()).toBe(5_000 + LIMIT);
  });

  it('has twice as long as the longest step of its engine took, in an earlier batch too', async () => {
    const first = await underWay(['a']);
    const { latest, clock, supervisor } = first;
    const let25SecondsGoBy = () => {
      latest().say('heartbeat', { phase: 'denoise', rss_bytes: 1 });
      clock.advance(25_000);
    };
    let25SecondsGoBy();
    latest().progress('denoise', 1);
    latest().image('a');
    latest().done();
    await first.report;
    const own = new AbortController();
    const report = supervisor.generate(batchOf('next', ['a']), { givenUp: new Map([['a', own.signal]]) });
    own.abort(TOO_LONG);
    let25SecondsGoBy();
    latest().say('heartbeat', { phase: 'denoise', rss_bytes: 1 });
    clock.advance(24_999);
    expect(supervisor.state).toBe('generating');
    clock.advance(1);
    expect((await report).answers).toMatchObject([{ code: 'time_limit' }]);
  });

  it('and was left out in time leaves the others all the time they need', async () => {
    const { report, latest, giveUp, clock } = await underWay(['a', 'b']);
    giveUp('a', TOO_LONG);
    latest().cancelled('a');
    latest().progress('denoise', 2);
    clock.advance(LIMIT + 1_000);
    latest().image('b');
    latest().done();
    expect((await report).answers).toMatchObject([{ code: 'time_limit' }, { kind: 'made' }]);
  });

  it('while its worker dies fails with its reason, not with the death', async () => {
    const { report, latest, giveUp } = await underWay(['a', 'b']);
    giveUp('a', TOO_LONG);
    latest().child.exit({ signal: 'SIGSEGV' });
    expect((await report).answers).toMatchObject([{ code: 'time_limit' }, { code: 'worker_died' }]);
  });

  it('before the order is left out of it', async () => {
    const { supervisor, latest } = superviseFakes();
    await supervisor.ensureLoaded(ENGINE);
    const givenUp = new Map([['a', AbortSignal.abort(TOO_LONG)]]);
    const { answers } = await supervisor.generate(batchOf('batch', ['a', 'b']), { givenUp });
    expect(answers).toMatchObject([{ code: 'time_limit' }, { kind: 'made' }]);
    expect(latest().last('generate').items).toMatchObject([{ job: 'b' }]);
    const none = await supervisor.generate(batchOf('batch', ['a']), { givenUp });
    expect(none).toMatchObject({ answers: [{ code: 'time_limit' }], seconds: 0, memory: null });
    expect(latest().orders.filter(({ type }) => type === 'generate')).toHaveLength(1);
    expect(supervisor.state).toBe('ready');
  });
});

it('the real worker leaves a job out at its next step, long before its neighbour is made', async () => {
  const { supervisor, folder } = realWorker({ step_seconds: 0.02 });
  await supervisor.ensureLoaded(ENGINE);
  const order = batchOf('batch', ['a', 'b']);
  const items = order.items.map((item) => ({ ...item, out: join(folder, item.job) }));
  const tooLong = new AbortController();
  const late: string[] = [];
  const report = await supervisor.generate(
    { ...order, params: { ...order.params, width: 64, height: 64, steps: 60 }, items },
    {
      givenUp: new Map([['a', tooLong.signal]]),
      onProgress: ({ phase }) => {
        if (tooLong.signal.aborted) late.push(phase);
        tooLong.abort(TOO_LONG);
      },
    },
  );
  expect(report.answers).toMatchObject([{ code: 'time_limit' }, { kind: 'made', temporary: join(folder, 'b') }]);
  expect(late).toContain('denoise');
  expect(supervisor.state).toBe('ready');
});

describe('a batch that is given up', () => {
  it('after some of its jobs rejects with its reason for the others', async () => {
    const { report, latest, giveUp, giveUpAll } = await underWay(['a', 'b']);
    giveUp('a', TOO_LONG);
    giveUpAll(new Error('enough'));
    expect(latest().last('cancel').jobs).toEqual(['a', 'b']);
    latest().cancelled('a', 'b');
    latest().done();
    await expect(report).rejects.toThrow('enough');
  });

  it('after the last job that was open was given up has its answers', async () => {
    const { report, latest, giveUp, giveUpAll } = await underWay(['a', 'b']);
    latest().image('b');
    giveUp('a', TOO_LONG);
    giveUpAll(new Error('enough'));
    latest().cancelled('a');
    latest().done();
    expect((await report).answers).toMatchObject([{ code: 'time_limit' }, { kind: 'made' }]);
  });
});

it('a job that the worker left out unasked waits again, and is not taken for one that somebody withdrew', async () => {
  const { report, latest } = await underWay(['a', 'b']);
  latest().image('a');
  latest().cancelled('b');
  latest().done();
  expect((await report).answers).toMatchObject([{ kind: 'made' }, { code: 'left_out', retryable: true }]);
});

it('a batch leaves no listener and no timer behind, however it ends', async () => {
  for (const end of ['done', 'death', 'cancel'] as const) {
    const { report, latest, giveUp, signals, clock, supervisor } = await underWay(['a', 'b']);
    giveUp('a', TOO_LONG);
    if (end === 'cancel') giveUp('b', TOO_LONG);
    if (end === 'cancel') clock.advance(LIMIT);
    if (end === 'death') latest().child.exit({ code: 1 });
    if (end === 'done') for (const answer of [() => latest().cancelled('a'), () => latest().image('b')]) answer();
    if (end === 'done') latest().done();
    await report;
    for (const signal of signals) expect(getEventListeners(signal, 'abort')).toEqual([]);
    await supervisor.stop();
    expect(clock.waiting).toBe(0);
  }
});

const supervisors: Supervisor[] = [];
const folders: string[] = [];

afterEach(async () => {
  await Promise.all(supervisors.splice(0).map((supervisor) => supervisor.stop()));
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

/** The package itself, with the engine that draws gradients. */
function realWorker(script: object) {
  const supervisor = new Supervisor({
    device: 'cpu',
    address: 'cpu',
    worker: {
      command: PYTHON,
      args: ['-P', '-u', '-m', 'kilnwatt_worker', '--engine', 'fake'],
      env: { PYTHONPATH: WORKER_DIR, KW_FAKE: JSON.stringify(script) },
    },
    launch: 'launch',
    clock: systemClock,
    limits: workerLimits('cpu'),
    rng: () => 0,
    onLog: () => {},
  });
  const folder = mkdtempSync(join(tmpdir(), 'kilnwatt-giving-up-'));
  supervisors.push(supervisor);
  folders.push(folder);
  return { supervisor, folder };
}

/** A batch that its worker has begun, and the means to give up all of it or one of its jobs. */
async function underWay(jobs: readonly string[]) {
  const all = superviseFakes({}, (order, worker) => {
    if (order.type !== 'generate') obliging(order, worker);
  });
  await all.supervisor.ensureLoaded(ENGINE);
  const whole = new AbortController();
  const own = new Map(jobs.map((job) => [job, new AbortController()]));
  const givenUp = new Map([...own].map(([job, { signal }]) => [job, signal]));
  const report = all.supervisor.generate(batchOf('batch', jobs), { signal: whole.signal, givenUp });
  return {
    ...all,
    report,
    signals: [whole.signal, ...givenUp.values()],
    giveUp: (job: string, reason: Error) => own.get(job)?.abort(reason),
    giveUpAll: (reason: Error) => whole.abort(reason),
  };
}
