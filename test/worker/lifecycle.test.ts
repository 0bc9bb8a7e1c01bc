import { describe, expect, it } from 'vitest';
import { UnavailableError, WorkerDied } from '../../src/errors.ts';
import type { SupervisorOptions } from '../../src/worker/supervisor.ts';
import { type FakeWorker, type Heard, obliging } from './fake-worker.ts';
import { batchOf, ENGINE, made, superviseFakes } from './supervised.ts';

const MINUTE = 60_000;
const AFTER_TWO = { deaths: 2, probeAfter: 5 * MINUTE, probeMost: 60 * MINUTE };

describe('deaths in a row', () => {
  it('put the device in quarantine, and say why and until when', async () => {
    const { supervisor, states, clock, dieOverBatch } = mortal();
    await dieOverBatch();
    expect(supervisor.quarantine).toBeNull();
    await dieOverBatch();
    expect(supervisor.quarantine).toEqual({
      reason: expect.stringMatching(
        /^2 deaths in a row without a finished batch; the last: .*SIGSEGV.*printed nothing/,
      ),
      until: clock.now() + 5 * MINUTE,
    });
    expect(supervisor.state).toBe('quarantined');
    expect(states.slice(-3)).toEqual(['ready', 'generating', 'quarantined']);
  });

  it('have every order refused until the time is over', async () => {
    const { supervisor, workers, clock, dieOverBatch } = mortal();
    await dieOverBatch(2);
    const refused = await supervisor.ensureLoaded(ENGINE).catch((reason: unknown) => reason);
    expect(refused).toBeInstanceOf(UnavailableError);
    expect(refused).toMatchObject({
      code: 'device_quarantined',
      message: expect.stringContaining('2 deaths in a row'),
    });
    await expect(supervisor.generate(batchOf('b', ['a']))).rejects.toMatchObject({ code: 'device_quarantined' });
    clock.advance(5 * MINUTE - 1);
    expect(supervisor.state).toBe('quarantined');
    clock.advance(1);
    expect(supervisor).toMatchObject({ state: 'down', quarantine: null });
    expect(workers).toHaveLength(2);
    expect(clock.waiting).toBe(0);
  });

  it('have the next one begin a quarantine of twice the time, up to the most', async () => {
    const { supervisor, clock, dieOverBatch } = mortal();
    await dieOverBatch(2);
    for (const minutes of [5, 10, 20, 40, 60, 60]) {
      expect(supervisor.quarantine?.until).toBe(clock.now() + minutes * MINUTE);
      clock.advance(minutes * MINUTE);
      await dieOverBatch();
    }
  });

  it('have the device rest as long as it is to, also where the clock is set meanwhile', async () => {
    for (const set of [-30 * 24 * 60 * MINUTE, 24 * 60 * MINUTE]) {
      const { supervisor, clock, dieOverBatch } = mortal();
      await dieOverBatch(2);
      clock.set(set);
      expect(supervisor.quarantine?.until).toBe(clock.now() + 5 * MINUTE);
      clock.advance(5 * MINUTE - 1);
      expect(supervisor.state).toBe('quarantined');
      clock.advance(1);
      expect(supervisor).toMatchObject({ state: 'down', quarantine: null });
    }
  });

  it('are forgotten after a finished batch', async () => {
    const { supervisor, clock, dieOverBatch } = mortal();
    await dieOverBatch(2);
    clock.advance(5 * MINUTE);
    await supervisor.ensureLoaded(ENGINE);
    expect((await supervisor.generate(batchOf('b', ['a']))).answers).toEqual([made('a')]);
    await dieOverBatch();
    expect(supervisor.quarantine).toBeNull();
    await dieOverBatch();
    expect(supervisor.quarantine?.until).toBe(clock.now() + 5 * MINUTE);
  });

  it('do not count those that we caused', async () => {
    const { supervisor } = superviseFakes({ breaker: { ...AFTER_TWO, deaths: 1 } });
    await supervisor.ensureLoaded(ENGINE);
    await supervisor.stop();
    expect(supervisor).toMatchObject({ state: 'down', quarantine: null });
  });

  it('count starts that never come to a hello', async () => {
    const { supervisor, clock } = superviseFakes({ breaker: AFTER_TWO }, obliging, ({ child }) => child.exit());
    const loading = supervisor.ensureLoaded(ENGINE);
    await expect.poll(() => supervisor.state).toBe('waiting');
    clock.advance(MINUTE);
    await expect(loading).rejects.toMatchObject({ code: 'worker_unavailable' });
    expect(supervisor.state).toBe('quarantined');
  });

  it.each(['over a batch', 'over a load'])(
    'count a device that was lost %s, although the worker lived to tell',
    async (when) => {
      const { supervisor, latest } = superviseFakes({ breaker: { ...AFTER_TWO, deaths: 1 } }, (order, worker) => {
        if (order.type === 'load' && when === 'over a batch') worker.loaded();
        else if (order.type === 'load') worker.say('failure', LOST);
        if (order.type === 'generate') worker.failure('a', 'device_lost');
        if (order.type === 'generate') worker.done();
      });
      const loading = supervisor.ensureLoaded(ENGINE);
      if (when === 'over a batch') {
        await loading;
        expect((await supervisor.generate(batchOf('b', ['a']))).answers).toMatchObject([{ code: 'device_lost' }]);
      } else {
        await expect(loading).rejects.toBeInstanceOf(WorkerDied);
      }
      await latest().child.exited;
      await expect.poll(() => supervisor.quarantine?.reason).toContain('lost its device');
    },
  );
});

describe('a start that fails', () => {
  it('as the first of all is tried once more, before anybody is told that Python is missing', async () => {
    const left = ['fails'];
    const { supervisor, clock, states, workers } = superviseFakes({}, obliging, (worker) =>
      left.pop() === undefined ? worker.hello() : worker.child.exit({ code: 1 }),
    );
    const loading = supervisor.ensureLoaded(ENGINE);
    await expect.poll(() => supervisor.state).toBe('waiting');
    clock.advance(1_000);
    expect(await loading).not.toBeNull();
    expect(states.join(' ')).toBe('starting down waiting down starting ready loading ready');
    expect(workers).toHaveLength(2);
  });

  it('is the fault of Python only where the one before failed so too, and none was killed between', async () => {
    const ends = [{ code: 1 }, { signal: 'SIGKILL' }, { code: 1 }, { code: 1 }, { code: 1 }] as const;
    let starts = 0;
    const { supervisor, clock } = superviseFakes({}, obliging, ({ child }) => {
      child.exit(ends[starts]);
      starts += 1;
    });
    const codes: string[] = [];
    for (let calls = 0; calls < 3; calls += 1) {
      const loading = supervisor.ensureLoaded(ENGINE).catch((error: { readonly code: string }) => error.code);
      const until = starts + (calls < 2 ? 2 : 1);
      await expect.poll(() => starts < until && clock.advance(MINUTE)).toBe(false);
      codes.push(String(await loading));
    }
    expect(codes).toEqual(['worker_died', 'worker_unavailable', 'worker_unavailable']);
    expect(starts).toBe(5);
  });

  it('once another worker had been up is a death like others, and not a missing Python', async () => {
    let isBroken = false;
    const { supervisor, clock } = superviseFakes({}, obliging, (worker) =>
      isBroken ? worker.child.exit({ code: 1 }) : worker.hello(),
    );
    await supervisor.ensureLoaded(ENGINE);
    await supervisor.stop();
    isBroken = true;
    await expect(supervisor.ensureLoaded(ENGINE)).rejects.toBeInstanceOf(WorkerDied);
    const waiting = supervisor.ensureLoaded(ENGINE);
    expect(supervisor.state).toBe('waiting');
    clock.advance(1_000);
    await expect(waiting).rejects.toMatchObject({ code: 'worker_died' });
  });
});

describe('a worker that is worn', () => {
  const orders = async (rule: NonNullable<SupervisorOptions['recycle']>, residents: readonly number[]) => {
    const left = [...residents];
    const all = superviseFakes({ recycle: rule }, (order: Heard, worker: FakeWorker) => {
      if (order.type === 'generate') worker.make(left.shift());
      else obliging(order, worker);
    });
    for (const [at] of residents.entries()) {
      await all.supervisor.ensureLoaded(ENGINE);
      await all.supervisor.generate(batchOf(`b${at}`, ['a', 'b']));
    }
    return all;
  };

  it('is asked to leave after its pictures, and another one makes the next batch', async () => {
    const { supervisor, workers, log, clock } = await orders({ pictures: 4, growth: null }, [1, 1, 1]);
    expect(workers.map((worker) => worker.orders.map(({ type }) => type).join(' '))).toEqual([
      'load generate generate shutdown',
      'load generate',
    ]);
    expect(log).toContain('debug: the worker is replaced, because it has made 4 pictures');
    expect(clock.monotonic()).toBe(0);
    expect(supervisor.state).toBe('ready');
  });

  it('is asked to leave when its memory has grown, and has nothing loaded from then on', async () => {
    const { supervisor, workers } = await orders({ pictures: null, growth: 10 }, [500, 600, 610, 611]);
    expect(workers).toHaveLength(1);
    expect(supervisor.engine).toBeNull();
    await expect.poll(() => supervisor.state).toBe('down');
  });
});

describe('a worker without an order', () => {
  it('is ended after the time that was set, and started again when it is needed', async () => {
    const { supervisor, clock, workers, log } = superviseFakes({ idleUnload: 10 * MINUTE, limits: DEAF });
    await supervisor.ensureLoaded(ENGINE);
    clock.advance(9 * MINUTE);
    await supervisor.generate(batchOf('b1', ['a']));
    clock.advance(10 * MINUTE - 1);
    expect(supervisor.state).toBe('ready');
    clock.advance(1);
    expect(supervisor.engine).toBeNull();
    await expect.poll(() => supervisor.state).toBe('down');
    expect(log).toContain('debug: the worker is ended after 600 s without an order');
    expect(clock.waiting).toBe(0);
    expect(await supervisor.ensureLoaded(ENGINE)).not.toBeNull();
    expect(workers).toHaveLength(2);
  });

  it('is kept where no time was set', async () => {
    const { supervisor, clock } = superviseFakes({ limits: DEAF });
    await supervisor.ensureLoaded(ENGINE);
    clock.advance(1_000 * MINUTE);
    expect(supervisor.state).toBe('ready');
  });
});

it('an order during a stop waits until the worker is gone, and has another one started', async () => {
  const { supervisor, workers } = superviseFakes({});
  await supervisor.ensureLoaded(ENGINE);
  const stopping = supervisor.stop();
  expect(supervisor.state).toBe('stopping');
  const loading = supervisor.ensureLoaded(ENGINE);
  await stopping;
  expect(await loading).not.toBeNull();
  expect(workers).toHaveLength(2);
});

/** Seen as a worker that was gone without a word after `pause --now`, and taken for one that had crashed. */
it('a worker whose load nobody waits for any more is ended, and says that it stops', async () => {
  const { supervisor, states } = superviseFakes({}, () => {});
  const nobody = new AbortController();
  const loading = supervisor.ensureLoaded(ENGINE, { signal: nobody.signal });
  await expect.poll(() => supervisor.state).toBe('loading');
  nobody.abort(new Error('paused'));
  expect(supervisor.state).toBe('stopping');
  await expect(loading).rejects.toThrow('paused');
  expect(states).toEqual(['starting', 'ready', 'loading', 'stopping', 'down']);
});

describe('a batch for a worker that is past help already', () => {
  it.each<[string, (worker: FakeWorker) => void]>([
    ['spoke nonsense right after its `loaded`', (worker) => worker.child.write(Buffer.from('Traceback\n'))],
    ['has left, and of whose end nobody has heard yet', (worker) => worker.child.leave()],
  ])('that %s is not begun, and has died of nothing', async (_, ends) => {
    const { supervisor, workers, latest, clock } = superviseFakes({}, (order, worker) => {
      obliging(order, worker);
      if (order.type === 'load' && workers.length === 1) ends(worker);
    });
    await supervisor.ensureLoaded(ENGINE);
    await expect(supervisor.generate(batchOf('b', ['a']))).rejects.toMatchObject({
      code: 'worker_stopped',
      retryable: true,
    });
    expect(latest().orders.map(({ type }) => type)).toEqual(['load']);
    const loading = supervisor.ensureLoaded(ENGINE);
    latest().child.exit({ signal: 'SIGSEGV' });
    await expect.poll(() => supervisor.state).toBe('waiting');
    clock.advance(1_000);
    expect(await loading).not.toBeNull();
    expect((await supervisor.generate(batchOf('b', ['a']))).answers).toEqual([made('a')]);
  });
});

it('a stop over a start or a load rejects with `worker_stopped`, which is nobody’s fault', async () => {
  for (const patience of [0, 1]) {
    const { supervisor, states } = superviseFakes({}, () => {});
    const loading = supervisor.ensureLoaded(ENGINE);
    if (patience > 0) await expect.poll(() => supervisor.state).toBe('loading');
    await Promise.all([supervisor.stop(), expect(loading).rejects.toMatchObject({ code: 'worker_stopped' })]);
    expect(states).toContain(patience > 0 ? 'loading' : 'starting');
    expect(supervisor.state).toBe('down');
  }
});

const LOST = {
  batch: null,
  job: null,
  code: 'device_lost',
  message: 'the GPU was lost',
  retryable: true,
  energy: null,
};
/** No worker is ended for its silence. */
const DEAF: SupervisorOptions['limits'] = {
  heartbeat: Number.MAX_SAFE_INTEGER,
  heartbeatLoading: Number.MAX_SAFE_INTEGER,
  phases: { start: 1, import: 1, load: 1, compile: 1, encode: 1, denoise: 1, decode: 1, save: 1 },
  cancel: 1,
  stop: { ask: 1, terminate: 1, kill: 1 },
};
/** A supervisor whose workers are good ones, save over those batches over which they are to die. */
function mortal() {
  let isToDie = false;
  const all = superviseFakes({ breaker: AFTER_TWO }, (order, worker) => {
    if (isToDie && order.type === 'generate') worker.child.exit({ signal: 'SIGSEGV' });
    else obliging(order, worker);
  });
  const dieOverBatch = async (times = 1) => {
    for (let death = 0; death < times; death += 1) {
      const loading = all.supervisor.ensureLoaded(ENGINE);
      if (all.supervisor.state === 'waiting') all.clock.advance(MINUTE);
      await loading;
      isToDie = true;
      const { answers } = await all.supervisor.generate(batchOf('b', ['a']));
      isToDie = false;
      expect(answers).toMatchObject([{ code: 'worker_died' }]);
    }
  };
  return { ...all, dieOverBatch };
}
