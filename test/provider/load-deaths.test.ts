import { describe, expect, it } from 'vitest';
import { presetNamed } from '../../src/preset/catalogue.ts';
import { LoadDeaths } from '../../src/provider/load-deaths.ts';
import { makeBatch } from '../../src/provider/local-batch.ts';
import { newBatch } from '../contracts/batches.ts';
import { type FakeWorker, type Heard, obliging } from '../worker/fake-worker.ts';
import { superviseFakes } from '../worker/supervised.ts';

const PATIENT = { deaths: 100, probeAfter: 1, probeMost: 1 };

describe('a model whose load ends the worker', () => {
  it('is not tried again after three deaths in a row, and its jobs fail with the last of them', async () => {
    const { make, workers } = place({ mortal: (model) => model === '/models/bad' });
    for (let times = 1; times <= 3; times += 1) {
      expect(await make('/models/bad')).toMatchObject({ code: 'worker_died_loading', retryable: true });
    }
    expect(await make('/models/bad')).toMatchObject({
      code: 'model_kills_worker',
      retryable: false,
      message: expect.stringMatching(/cpu .*died 3 times in a row while it loaded \/models\/bad with plain; .*SIGSEGV/),
    });
    expect(workers).toHaveLength(3);
  });

  it('leaves the device to other models', async () => {
    const { make } = place({ mortal: (model) => model === '/models/bad' });
    for (let times = 1; times <= 4; times += 1) await make('/models/bad');
    expect(await make('/models/good')).toMatchObject({ kind: 'made' });
    expect(await make('/models/bad')).toMatchObject({ code: 'model_kills_worker' });
  });

  it('is tried on where it was loaded before, on any device: then it is the device that is sick', async () => {
    const sound = new Set<string>();
    let sick = false;
    const { make } = place({ mortal: () => sick, sound });
    const other = place({ mortal: () => true, sound });
    expect(await make('/models/good')).toMatchObject({ kind: 'made' });
    sick = true;
    await make('/models/that takes the place of the good one');
    for (let times = 1; times <= 5; times += 1) {
      expect(await make('/models/good')).toMatchObject({ code: 'worker_died_loading' });
      expect(await other.make('/models/good')).toMatchObject({ code: 'worker_died_loading' });
    }
  });

  it('is not blamed for a worker that its user killed once, nor for one kill now and then', async () => {
    let isDoomed = true;
    const { make, rest } = place({ mortal: () => isDoomed, signal: 'SIGKILL' });
    for (let times = 1; times <= 3; times += 1) {
      isDoomed = true;
      expect(await make('/models/large')).toMatchObject({ code: 'worker_died_loading', retryable: true });
      isDoomed = false;
      expect(await make('/models/large')).toMatchObject({ kind: 'made' });
      await rest();
    }
  });

  it('has run out of memory at the second kill in a row, or it was tried for ever while no job failed', async () => {
    const { make, attempt } = place({ mortal: () => true, signal: 'SIGKILL' });
    expect(await make('/models/large')).toMatchObject({ code: 'worker_died_loading' });
    expect(await attempt('/models/large')).toMatchObject({
      ranOut: 'load',
      result: {
        answers: [
          { code: 'out_of_memory', retryable: true, message: expect.stringMatching(/SIGKILL.*2 times in a row/) },
        ],
      },
    });
  });

  it('has run out of memory at the first kill, where it needs about all that the host has', async () => {
    const { attempt } = place({ mortal: () => true, signal: 'SIGKILL', isTight: true });
    expect(await attempt('/models/large')).toMatchObject({
      ranOut: 'load',
      result: { answers: [{ retryable: true }] },
    });
  });

  it('has run out of memory at the fourth kill in a row, where it was loaded before', async () => {
    let isDoomed = false;
    const { make, rest } = place({ mortal: () => isDoomed, signal: 'SIGKILL' });
    await make('/models/good');
    await rest();
    isDoomed = true;
    const codes: unknown[] = [];
    for (let times = 1; times <= 4; times += 1) codes.push(await make('/models/good'));
    expect(codes).toMatchObject([
      ...Array(3).fill({ code: 'worker_died_loading' }),
      { code: 'out_of_memory', retryable: true },
    ]);
  });

  it('is not blamed for a worker that does not come up', async () => {
    let lame = false;
    const { make, rest } = place({ mortal: () => false, lame: () => lame });
    expect(await make('/models/first')).toMatchObject({ kind: 'made' });
    await rest();
    lame = true;
    for (let times = 1; times <= 4; times += 1)
      expect(await make('/models/new')).toMatchObject({ code: 'worker_died_loading' });
    lame = false;
    expect(await make('/models/new')).toMatchObject({ kind: 'made' });
  });
});

/** A device whose workers live in this process, and die over the load of some models. */
function place(options: {
  mortal(model: string): boolean;
  lame?(): boolean;
  sound?: Set<string>;
  signal?: 'SIGKILL';
  isTight?: boolean;
}) {
  const loadDeaths = new LoadDeaths('cpu', options.sound ?? new Set());
  const onOrder = (order: Heard, worker: FakeWorker) => {
    const { path = '' } = (order.model ?? {}) as { readonly path?: string };
    if (order.type === 'load' && options.mortal(path)) worker.child.exit({ signal: options.signal ?? 'SIGSEGV' });
    else obliging(order, worker);
  };
  const onStart = (worker: FakeWorker) => (options.lame?.() ? worker.child.exit({ signal: 'SIGBUS' }) : worker.hello());
  const { supervisor, clock, workers } = superviseFakes(
    {
      breaker: PATIENT,
      onState: (state) => {
        if (state === 'loading') loadDeaths.began();
        // The back-off is over as soon as it has begun.
        if (state === 'waiting') queueMicrotask(() => clock.advance(60_000));
      },
    },
    onOrder,
    onStart,
  );
  const device = { id: 'cpu', kind: 'cpu', uuid: null, name: 'CPU' } as const;
  const attempt = async (modelPath: string) => {
    const batch = newBatch('/out', 'b', ['a'], { modelHash: modelPath, modelPath });
    const signal = new AbortController().signal;
    const isTight = () => options.isTight ?? false;
    const call = { clock, signal, givenUp: new Map(), isTight, onMemory: () => {}, onProgress: () => {} };
    return await makeBatch(
      { device, supervisor, loadDeaths, sharesProcessors: false },
      batch,
      presetNamed('plain'),
      call,
    );
  };
  const make = async (modelPath: string) => (await attempt(modelPath)).result.answers[0];
  return { make, attempt, workers, rest: () => supervisor.stop() };
}
