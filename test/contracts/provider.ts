import { getEventListeners } from 'node:events';
import { readFile } from 'node:fs/promises';
import { inflateSync } from 'node:zlib';
import { beforeEach, describe, expect, it } from 'vitest';
import { AppError, UnavailableError } from '../../src/errors.ts';
import type { Batch, Made, Progress, Provider } from '../../src/ports.ts';
import { codesOf, MODEL, OTHER_MODEL } from './batches.ts';
import { type MakeProvider, providerBench } from './provider-bench.ts';

/** What every provider promises; see `Provider` in `src/ports.ts`. */
export function providerContract(name: string, make: MakeProvider): void {
  describe(`the ${name} provider`, () => {
    const { opened, batchOf } = providerBench(make);
    let provider: Provider;
    beforeEach(() => {
      provider = opened();
    });

    it('answers each job in the order of the batch with a picture of its own', async () => {
      const batch = batchOf(['a', 'b', 'c']);
      const { answers } = await provider.make(batch, {});
      expect(answers).toEqual(batch.jobs.map(({ id, temporary }) => made(id, temporary)));
      const pictures = await Promise.all(batch.jobs.map((job) => readFile(job.temporary)));
      for (const picture of pictures) expect(levelsOf(picture)).toBeGreaterThan(8);
      expect(new Set(pictures.map((picture) => picture.toString('base64'))).size).toBe(3);
    });

    it('makes the same picture of the same seed', async () => {
      const [first, second] = [batchOf(['a']), batchOf(['a'])];
      await provider.make(first, {});
      await provider.make(second, {});
      expect(await readFile(fileOf(first, 0))).toEqual(await readFile(fileOf(second, 0)));
    });

    it('lets one bad prompt not fail its neighbours', async () => {
      const batch = batchOf(['a', 'FAIL', 'c']);
      const { answers } = await provider.make(batch, {});
      expect(answers.map((answer) => answer.kind)).toEqual(['made', 'failure', 'made']);
      expect(answers[1]).toMatchObject({ job: batch.jobs[1]?.id, code: 'black_image', retryable: false });
    });

    it('loads a model once, books that as overhead, and says what is resident', async () => {
      const [device] = provider.devices;
      const resident = () => provider.resident(device?.id ?? '');
      expect(resident()).toBeNull();
      const first = await provider.make(batchOf(['a']), {});
      expect(first.overhead.map(({ cause }) => cause)).toEqual(['load']);
      expect(resident()).toBe(MODEL);
      expect((await provider.make(batchOf(['a']), {})).overhead).toEqual([]);
      expect((await provider.make(batchOf(['a'], { modelHash: OTHER_MODEL }), {})).overhead).toHaveLength(1);
      expect(resident()).toBe(OTHER_MODEL);
    });

    it('tells of the load and then of the steps', async () => {
      const heard: Progress[] = [];
      const batch = batchOf(['a']);
      await provider.make(batch, { onProgress: (progress) => heard.push(progress) });
      expect(heard.slice(0, 2)).toEqual([0, 1].map((step) => ({ batch: batch.id, phase: 'load', step, steps: 1 })));
      const steps = heard.filter((progress) => progress.phase === 'denoise');
      expect(steps.length).toBeGreaterThan(0);
      for (const progress of steps) expect(progress).toMatchObject({ batch: batch.id, steps: 4 });
    });

    it('gives figures that are whole: unknown energy is null, and the phases fit into the seconds', async () => {
      const { shared, overhead } = await provider.make(batchOf(['a', 'b']), {});
      for (const { millijoules, method } of [shared.energy, ...overhead.map(({ energy }) => energy)]) {
        expect(millijoules === null).toBe(method === 'unknown');
      }
      const phases = Object.values(shared.phases).reduce((sum, seconds) => sum + seconds, 0);
      expect(phases).toBeLessThanOrEqual(shared.seconds + 0.001);
      expect(shared.engine.preset).toBe('plain');
      expect(shared.engine.settings).toMatchObject({ device: batchOf([]).device });
    });

    it('answers every job when its worker dies, and goes on after that', async () => {
      const batch = batchOf(['a', 'DIE']);
      expect(codesOf(await provider.make(batch, {}))).toEqual(['worker_died', 'worker_died']);
      expect(provider.resident(batch.device)).toBeNull();
      const next = await provider.make(batchOf(['a']), {});
      expect(next.answers[0]?.kind).toBe('made');
      expect(next.overhead).toHaveLength(1);
    });

    it('fails each job of a preset that nobody knows, and nothing else', async () => {
      const result = await provider.make(batchOf(['a', 'b'], { preset: 'fast' }), {});
      expect(codesOf(result)).toEqual(['preset_unknown', 'preset_unknown']);
      expect(result.overhead).toEqual([]);
    });

    it('rejects with the reason of a signal that is aborted already', async () => {
      const signal = AbortSignal.abort(new Error('enough'));
      await expect(provider.make(batchOf(['a']), { signal })).rejects.toThrow('enough');
    });

    it('stops a batch that is called off, and makes the next', async () => {
      provider = opened({ stepMillis: 20 });
      const controller = new AbortController();
      const onProgress = ({ phase }: Progress) => phase === 'denoise' && controller.abort(new Error('enough'));
      const batch = batchOf(['a', 'b'], { steps: 1_000 });
      await expect(provider.make(batch, { signal: controller.signal, onProgress })).rejects.toThrow('enough');
      expect((await provider.make(batchOf(['a']), {})).answers[0]?.kind).toBe('made');
    });

    it('leaves a job that is given up out from the next step on, and its neighbours whole', async () => {
      provider = opened({ stepMillis: 20 });
      const batch = batchOf(['a', 'b', 'c'], { steps: 10 });
      const second = new AbortController();
      const givenUp = new Map(
        batch.jobs.map(({ id }, at) => [id, at === 1 ? second.signal : new AbortController().signal]),
      );
      const onProgress = ({ phase }: Progress) =>
        phase === 'denoise' && second.abort(new AppError('too slow', { code: 'job_timeout' }));
      const { answers } = await provider.make(batch, { givenUp, onProgress });
      expect(answers.map((answer) => answer.kind)).toEqual(['made', 'failure', 'made']);
      expect(answers[1]).toMatchObject({ code: 'job_timeout', message: 'too slow', retryable: false });
      for (const at of [0, 2]) expect(levelsOf(await readFile(fileOf(batch, at)))).toBeGreaterThan(8);
      expect((await provider.make(batchOf(['a'], { steps: 1 }), {})).answers[0]?.kind).toBe('made');
    });

    it('loads nothing for a batch of which every job is given up already', async () => {
      const batch = batchOf(['a', 'b']);
      const gone = AbortSignal.abort(new Error('nobody wants it'));
      const result = await provider.make(batch, { givenUp: new Map(batch.jobs.map(({ id }) => [id, gone])) });
      expect(result).toMatchObject({ answers: [{ code: 'cancelled' }, { code: 'cancelled' }], overhead: [] });
      expect(provider.resident(batch.device)).toBeNull();
    });

    it('gives a load up as soon as every job of its batch is given up, and not before', async () => {
      provider = opened({ loadMillis: 60_000 });
      const batch = batchOf(['a', 'b']);
      const own = batch.jobs.map(() => new AbortController());
      const givenUp = new Map(batch.jobs.map(({ id }, at) => [id, own[at]?.signal ?? AbortSignal.abort()]));
      let begun = () => {};
      const loading = new Promise<void>((resolve) => {
        begun = resolve;
      });
      let ended = false;
      const made = provider.make(batch, { givenUp, onProgress: () => begun() }).finally(() => {
        ended = true;
      });
      await loading;
      own[0]?.abort(new AppError('the user paused the work', { code: 'paused' }));
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(ended).toBe(false);
      own[1]?.abort(new AppError('it was cancelled', { code: 'cancelled' }));
      const { answers, overhead } = await made;
      expect(answers).toMatchObject([{ code: 'paused', message: 'the user paused the work' }, { code: 'cancelled' }]);
      expect(overhead).toMatchObject([{ cause: 'load' }]);
      expect([overhead.length, provider.resident(batch.device)]).toEqual([1, null]);
      for (const { signal } of own) expect(getEventListeners(signal, 'abort')).toEqual([]);
    });

    it('frees a device that is to rest, and loads anew for the next batch', async () => {
      const batch = batchOf(['a']);
      await provider.rest(batch.device);
      await provider.make(batch, {});
      await provider.rest(batch.device);
      expect(provider.resident(batch.device)).toBeNull();
      const next = await provider.make(batchOf(['a']), {});
      expect([next.answers[0]?.kind, next.overhead.length]).toEqual(['made', 1]);
    });

    it('refuses to rest in the middle of a batch, which is made all the same', async () => {
      provider = opened({ stepMillis: 20 });
      const refusals: Promise<void>[] = [];
      const batch = batchOf(['a']);
      const onProgress = ({ phase }: Progress) => {
        if (phase === 'denoise' && refusals.length === 0) {
          refusals.push(expect(provider.rest(batch.device)).rejects.toThrow('has a batch under way'));
        }
      };
      expect((await provider.make(batch, { onProgress })).answers[0]?.kind).toBe('made');
      expect(refusals).toHaveLength(1);
      await Promise.all(refusals);
    });

    it('is not in quarantine where nothing has gone wrong', async () => {
      await provider.make(batchOf(['a']), {});
      expect(provider.devices.map(({ id }) => provider.quarantine(id))).toEqual(provider.devices.map(() => null));
    });

    it('takes the limit of a batch from the preset of the job, and allows one of a preset that nobody knows', () => {
      const limits = ['auto', 'low-vram', 'nobody knows it'].map((preset) => {
        const [job] = batchOf(['a'], { preset }).jobs;
        return job === undefined ? 0 : provider.limit(job, 'cpu', false);
      });
      expect(limits).toEqual([4, 1, 1]);
    });

    it('is found fit by its own check', async () => {
      const checks = await provider.check();
      expect(checks.length).toBeGreaterThan(0);
      expect(checks.filter(({ status }) => status === 'fail')).toEqual([]);
    });

    it('is closed twice without harm, ends what is under way, and makes nothing afterwards', async () => {
      provider = opened({ stepMillis: 20 });
      const closing: Promise<void>[] = [];
      const onProgress = ({ phase }: Progress) => void (phase === 'denoise' && closing.push(provider.close()));
      const made = provider.make(batchOf(['a'], { steps: 1_000 }), { onProgress });
      await expect(made).rejects.toBeInstanceOf(UnavailableError);
      await Promise.all([...closing, provider.close()]);
      await expect(provider.make(batchOf(['a']), {})).rejects.toBeInstanceOf(UnavailableError);
    });
  });
}

function made(job: string, temporary: string): Made {
  return { kind: 'made', job, temporary, width: 64, height: 48 };
}

function fileOf(batch: Batch, at: number): string {
  return batch.jobs[at]?.temporary ?? '';
}

/** How many levels of red a PNG has, from its own chunks: a flat picture has one. */
function levelsOf(png: Buffer): number {
  expect(png.subarray(1, 4).toString('latin1')).toBe('PNG');
  expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([64, 48]);
  const parts: Buffer[] = [];
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
    const type = png.subarray(at + 4, at + 8).toString('latin1');
    if (type === 'IDAT') parts.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)));
  }
  return new Set(inflateSync(Buffer.concat(parts))).size;
}
