import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { InputError, UnavailableError, WorkerDied } from '../../src/errors.ts';
import type { SupervisorState } from '../../src/worker/lifecycle.ts';
import { type WorkerLimits, workerLimits } from '../../src/worker/limits.ts';
import type { Generate } from '../../src/worker/messages.ts';
import { Supervisor } from '../../src/worker/supervisor.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { PYTHON, WORKERS } from '../support/python.ts';
import { batchOf, ENGINE, made } from './supervised.ts';

const open: Supervisor[] = [];

afterEach(async () => {
  await Promise.all(open.splice(0).map((supervisor) => supervisor.stop()));
});

describe('a worker that behaves', () => {
  it('is started when it is needed, loads once, and makes batch after batch', async () => {
    const { supervisor, states } = supervise('well-behaved');
    expect(supervisor.state).toBe('down');
    const load = await supervisor.ensureLoaded(ENGINE);
    expect(load).toMatchObject({
      seconds: 1.5,
      energy: {
        millijoules: 1500,
        meter: 'nvml_counter',
        method: 'measured',
        window: { gpu: 'GPU-1', counter: { from: 1000, to: 2500 }, integral: null, foreign: 0 },
      },
    });
    expect(await supervisor.ensureLoaded(ENGINE)).toBeNull();
    expect(supervisor.engine?.facts).toEqual({
      id: 'e1',
      preset: 'plain',
      settings: { device: 'cpu' },
      downgrades: [],
      versions: {},
    });
    await supervisor.generate(batch('b1', ['one']));
    const report = await supervisor.generate(batch('b2', ['two', 'bad', 'three']));
    expect(report.answers).toEqual([
      made('j0'),
      { kind: 'failure', job: 'j1', code: 'black_image', message: 'the picture is black', retryable: false },
      made('j2'),
    ]);
    expect(report).toMatchObject({ seconds: 2, phases: { denoise: 1 }, memory: { peak_rss_bytes: 2000 } });
    await supervisor.stop();
    expect(states.join(' ')).toBe('starting ready loading ready generating ready generating ready stopping down');
  });

  it('unloads one engine before it loads another', async () => {
    const { supervisor } = supervise('well-behaved');
    await supervisor.ensureLoaded(ENGINE);
    expect(await supervisor.ensureLoaded({ ...ENGINE, id: 'e2', modelHash: 'sha256:2' })).not.toBeNull();
    expect(supervisor.engine?.spec.modelHash).toBe('sha256:2');
  });

  it('is stopped twice without harm, and comes back without a wait', async () => {
    const { supervisor, clock } = supervise('well-behaved');
    await supervisor.stop();
    await supervisor.ensureLoaded(ENGINE);
    await Promise.all([supervisor.stop(), supervisor.stop()]);
    expect(supervisor.engine).toBeNull();
    await supervisor.ensureLoaded(ENGINE);
    expect(clock.monotonic()).toBe(0);
  });

  it('takes one order at a time, and none before something is loaded', async () => {
    const { supervisor } = supervise('well-behaved');
    await expect(supervisor.generate(batch('b', ['p']))).rejects.toThrow('has nothing loaded');
    const loading = supervisor.ensureLoaded(ENGINE);
    await expect.poll(() => supervisor.state).toBe('starting');
    await expect(supervisor.ensureLoaded(ENGINE)).rejects.toThrow('is starting');
    await loading;
  });

  it('may print what it likes wherever it likes', async () => {
    const { supervisor, log } = supervise('chatters');
    await supervisor.ensureLoaded(ENGINE);
    expect((await supervisor.generate(batch('b', ['p', 'q']))).answers).toEqual([made('j0'), made('j1')]);
    await supervisor.stop();
    expect(log).toEqual(
      expect.arrayContaining(['10%', '20%', 'a grandchild prints', 'and complains', 'no line feed at the end']),
    );
  });

  it('is not confused by messages of an earlier launch', async () => {
    const { supervisor } = supervise('echoes-the-dead');
    await supervisor.ensureLoaded(ENGINE);
    expect((await supervisor.generate(batch('b', ['p', 'q']))).answers).toEqual([made('j0'), made('j1')]);
  });
});

describe('a load that fails', () => {
  it.each([
    ['model_missing', InputError],
    ['bad_request', InputError],
    ['device_missing', UnavailableError],
  ])('with %s is the error of its kind, and the worker stays', async (code, kind) => {
    const { supervisor } = supervise('well-behaved');
    const error = await supervisor
      .ensureLoaded({ ...ENGINE, modelPath: `/broken/${code}` })
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(kind);
    expect(error).toMatchObject({ code, message: `told to fail with ${code}` });
    expect(supervisor.state).toBe('ready');
    expect(supervisor.engine).toBeNull();
    await supervisor.ensureLoaded(ENGINE);
  });
});

describe('a worker that does not come up', () => {
  it('because Python is missing is an UnavailableError that names it', async () => {
    const error = await failedTwice(supervise('well-behaved', { command: '/nowhere/python' }));
    expect(error).toBeInstanceOf(UnavailableError);
    expect(error).toMatchObject({ code: 'worker_unavailable' });
    expect(String(error)).toMatch(/\/nowhere\/python.*ENOENT.*kilnwatt doctor/);
  });

  it('because a package is missing quotes its last lines', async () => {
    expect(String(await failedTwice(supervise('fails-to-import')))).toMatch(
      /exit code 1 before it was ready.*No module named 'package_that_nobody_installed'/,
    );
  });

  it('because it says nothing is ended after the limit', async () => {
    const { supervisor, clock } = supervise('never-says-hello');
    const loading = expect(supervisor.ensureLoaded(ENGINE)).rejects.toThrow(
      'made no progress for 120 s in phase start',
    );
    for (const limit of [120_000, 1_000, 120_000]) {
      await expect.poll(() => supervisor.state).toBe(limit === 1_000 ? 'waiting' : 'starting');
      clock.advance(limit);
    }
    await loading;
    expect(supervisor.state).toBe('down');
  });
});

describe('a worker that dies over a batch', () => {
  it('leaves the answers that it had given; the other items fail with its signal and its last lines', async () => {
    const { supervisor } = supervise('crashes');
    await supervisor.ensureLoaded(ENGINE);
    const report = await supervisor.generate(batch('b', ['p', 'q']));
    expect(report.answers[0]).toEqual(made('j0'));
    expect(report.answers[1]).toMatchObject({ kind: 'failure', job: 'j1', code: 'worker_died', retryable: true });
    expect(report.answers[1]).toHaveProperty(
      'message',
      expect.stringMatching(/SIGSEGV.*loading kernels \| about to crash/),
    );
    expect(report).toMatchObject({ memory: null, energy: { millijoules: null, method: 'unknown' } });
    expect(supervisor.engine).toBeNull();
  });

  it('in the middle of a line is told of by its signal, and not for the half of a message that it left', async () => {
    const { supervisor } = supervise('dies-in-a-line');
    await supervisor.ensureLoaded(ENGINE);
    const { answers } = await supervisor.generate(batch('b', ['p']));
    expect(answers[0]).toMatchObject({ code: 'worker_died', message: expect.stringContaining('signal SIGKILL') });
    expect(answers[0]).not.toHaveProperty('message', expect.stringContaining('protocol'));
  });

  it('is started again for the next one, later after each death in a row', async () => {
    const { supervisor, clock } = supervise('crashes');
    for (const wait of [0, 1_000, 2_000, 4_000]) {
      const loading = supervisor.ensureLoaded(ENGINE);
      if (wait > 0) {
        clock.advance(wait - 1);
        expect(supervisor.state).toBe('waiting');
        clock.advance(1);
      }
      await loading;
      await supervisor.generate(batch(`b${wait}`, ['p', 'q']));
      expect(supervisor.state).toBe('down');
    }
  });

  it('while it waits to be started again can be called off', async () => {
    const { supervisor } = supervise('crashes');
    await supervisor.ensureLoaded(ENGINE);
    await supervisor.generate(batch('b', ['p', 'q']));
    const controller = new AbortController();
    const loading = supervisor.ensureLoaded(ENGINE, { signal: controller.signal });
    await expect(supervisor.ensureLoaded(ENGINE)).rejects.toThrow('is waiting');
    controller.abort(new Error('never mind'));
    await expect(loading).rejects.toThrow('never mind');
    expect(supervisor.state).toBe('down');
  });

  it('between two batches is noticed by the next', async () => {
    const { supervisor, clock } = supervise('well-behaved');
    await supervisor.ensureLoaded(ENGINE);
    clock.advance(30_000);
    await expect.poll(() => supervisor.state).toBe('down');
    expect(supervisor.engine).toBeNull();
    const loading = supervisor.ensureLoaded(ENGINE);
    clock.advance(1_000);
    expect(await loading).not.toBeNull();
  });
});

describe('a worker that hangs', () => {
  it('with its heart beating is ended when it makes no progress', async () => {
    const { supervisor, clock } = supervise('makes-no-progress', { limits: { heartbeat: 10_000_000 } });
    await supervisor.ensureLoaded(ENGINE);
    let begun = () => {};
    const started = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const report = supervisor.generate(batch('b', ['p']), { onProgress: () => begun() });
    await started;
    clock.advance(workerLimits('cpu').phases.denoise);
    expect((await report).answers[0]).toMatchObject({
      code: 'worker_died',
      message: expect.stringMatching(/made no progress for 1800 s in phase denoise and was ended with SIGTERM/),
    });
  });

  it('and holds the interpreter is ended for its silence, with SIGKILL since it heeds no SIGTERM', async () => {
    const { supervisor, clock } = supervise('holds-the-interpreter');
    await supervisor.ensureLoaded(ENGINE);
    const report = supervisor.generate(batch('b', ['p']), { onProgress: () => clock.advance(30_000) });
    await expect
      .poll(() => {
        clock.advance(5_000);
        return supervisor.state;
      })
      .toBe('down');
    expect((await report).answers[0]).toHaveProperty(
      'message',
      expect.stringMatching(/gave no sign of life for 30 s in phase denoise and was ended with SIGKILL/),
    );
  });
});

describe('a worker that breaks the protocol', () => {
  it.each([
    ['garbage', 'a line is not JSON: Traceback'],
    ['not a number', 'a line is not JSON'],
    ['unknown field', 'surprise'],
    ['endless line', 'a line has over 1048576 bytes'],
    ['two answers', 'image answers j0, which is not open'],
    ['stranger', "image answers nobody's"],
    ['other file', 'the picture of j0 is in /elsewhere, not in /out/j0'],
    ['other batch', "image is about batch yesterday's, not b"],
    ['early done', 'done came without an answer for j0, j1'],
  ])('by %s is replaced, and the items that are open fail', async (way, complaint) => {
    const { supervisor } = supervise('speaks-nonsense');
    await supervisor.ensureLoaded(ENGINE);
    const { answers } = await supervisor.generate(batch('b', [way, 'q']));
    expect(answers[1]).toMatchObject({ code: 'worker_died', message: expect.stringContaining('broke the protocol') });
    expect(answers[1]).toHaveProperty('message', expect.stringContaining(complaint));
    expect(answers[0]?.kind).toBe(way === 'two answers' ? 'made' : 'failure');
    expect(supervisor.state).toBe('down');
  });
});

describe('an abort', () => {
  it('cancels what is open, and the worker goes on living', async () => {
    const { supervisor } = supervise('cancels');
    await supervisor.ensureLoaded(ENGINE);
    await expect(aborted(supervisor)).rejects.toThrow('enough');
    expect(supervisor.state).toBe('ready');
    expect(supervisor.engine).not.toBeNull();
  });

  it('that the worker does not heed ends it, which is not counted as a death', async () => {
    const { supervisor, clock } = supervise('heeds-no-cancel');
    await supervisor.ensureLoaded(ENGINE);
    const batchOver = expect(aborted(supervisor)).rejects.toThrow('enough');
    await expect
      .poll(() => {
        clock.advance(20_000);
        return supervisor.state;
      })
      .toBe('down');
    await batchOver;
    await supervisor.ensureLoaded(ENGINE);
  });

  it('of a start ends the worker', async () => {
    const { supervisor } = supervise('never-says-hello');
    const controller = new AbortController();
    const loading = supervisor.ensureLoaded(ENGINE, { signal: controller.signal });
    await expect.poll(() => supervisor.state).toBe('starting');
    controller.abort(new Error('enough'));
    await expect(loading).rejects.toThrow('enough');
    expect(supervisor.state).toBe('down');
  });

  it('before the order gives none', async () => {
    const { supervisor } = supervise('well-behaved');
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(supervisor.ensureLoaded(ENGINE, { signal })).rejects.toThrow('enough');
    expect(supervisor.state).toBe('down');
  });
});

it('a stop over a batch ends it, and the items that are open are unharmed', async () => {
  const { supervisor } = supervise('cancels');
  await supervisor.ensureLoaded(ENGINE);
  const report = supervisor.generate(batch('b', ['p', 'q']), { onProgress: () => void supervisor.stop() });
  expect((await report).answers).toMatchObject([{ kind: 'made' }, { code: 'worker_stopped', retryable: true }]);
});

it('a death over a load rejects with the last lines', async () => {
  const { supervisor, clock } = supervise('well-behaved', { limits: { stop: { ask: 0, terminate: 0, kill: 10_000 } } });
  await supervisor.ensureLoaded(ENGINE);
  const loading = supervisor.ensureLoaded({ ...ENGINE, id: 'e2' });
  clock.advance(workerLimits('cpu').heartbeatLoading);
  await expect(loading).rejects.toBeInstanceOf(WorkerDied);
});

/** What is said of a worker that does not come up, the second time either. */
async function failedTwice({ supervisor, clock }: Pick<ReturnType<typeof supervise>, 'supervisor' | 'clock'>) {
  const loading = supervisor.ensureLoaded(ENGINE).catch((reason: unknown) => reason);
  await expect.poll(() => supervisor.state).toBe('waiting');
  clock.advance(1_000);
  return loading;
}

interface Changes {
  readonly command?: string;
  readonly limits?: Partial<WorkerLimits>;
}

function supervise(worker: string, { command = PYTHON, limits = {} }: Changes = {}) {
  const clock = new ManualClock();
  const log: string[] = [];
  const states: SupervisorState[] = [];
  const supervisor = new Supervisor({
    device: 'cpu',
    address: 'cpu',
    worker: { command, args: ['-u', join(WORKERS, `${worker}.py`)], env: { PYTHONDONTWRITEBYTECODE: '1' } },
    launch: 'launch',
    clock,
    limits: { ...workerLimits('cpu'), ...limits },
    rng: () => 0,
    onLog: (line) => log.push(line),
    onState: (state) => states.push(state),
  });
  open.push(supervisor);
  return { supervisor, clock, log, states };
}

/** A batch of two that is called off when its worker is under way. */
function aborted(supervisor: Supervisor) {
  const controller = new AbortController();
  const onProgress = () => controller.abort(new Error('enough'));
  return supervisor.generate(batch('b', ['p', 'q']), { signal: controller.signal, onProgress });
}

function batch(id: string, prompts: readonly string[]): Omit<Generate, 'type' | 'engine'> {
  const jobs = prompts.map((_, at) => `j${at}`);
  const { items, ...rest } = batchOf(id, jobs);
  return { ...rest, items: items.map((item, at) => ({ ...item, prompt: prompts[at] ?? '' })) };
}
