import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inflateSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UnavailableError } from '../../src/errors.ts';
import type { Request } from '../../src/job/request.ts';
import type { Batch, BatchResult, Made, Progress, Provider } from '../../src/ports.ts';

/** Words in prompts that the provider under test is told to misbehave on, and how slow its steps are. */
export interface Misbehaviour {
  readonly failOn: 'FAIL';
  readonly dieOn: 'DIE';
  readonly stepMillis: number;
}
export type MakeProvider = (misbehaviour: Misbehaviour) => Provider;

const ONE = `sha256:${'1'.repeat(64)}`;
const TWO = `sha256:${'2'.repeat(64)}`;

/** What every provider promises; see `Provider` in `src/ports.ts`. */
export function providerContract(name: string, make: MakeProvider): void {
  describe(`the ${name} provider`, () => {
    let folder: string;
    let provider: Provider;
    let batches = 0;

    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'kilnwatt-provider-'));
      provider = make({ failOn: 'FAIL', dieOn: 'DIE', stepMillis: 0 });
    });
    afterEach(async () => {
      await provider.close();
      await rm(folder, { recursive: true });
    });

    const batchOf = (prompts: readonly string[], change: Change = {}): Batch => {
      batches += 1;
      return newBatch(folder, `launch-${batches}`, prompts, change);
    };

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
      expect(resident()).toBe(ONE);
      expect((await provider.make(batchOf(['a']), {})).overhead).toEqual([]);
      expect((await provider.make(batchOf(['a'], { modelHash: TWO }), {})).overhead).toHaveLength(1);
      expect(resident()).toBe(TWO);
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
      expect(shared.engine.preset).toBe('auto');
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
      provider = make({ failOn: 'FAIL', dieOn: 'DIE', stepMillis: 20 });
      const controller = new AbortController();
      const onProgress = ({ phase }: Progress) => phase === 'denoise' && controller.abort(new Error('enough'));
      const batch = batchOf(['a', 'b'], { steps: 1_000 });
      await expect(provider.make(batch, { signal: controller.signal, onProgress })).rejects.toThrow('enough');
      expect((await provider.make(batchOf(['a']), {})).answers[0]?.kind).toBe('made');
    });

    it('allows at least one job a batch', () => {
      for (const device of provider.devices) {
        const limit = provider.limit('auto:0123456789abcdef', device.id);
        expect(Number.isInteger(limit) && limit >= 1).toBe(true);
      }
    });

    it('is found fit by its own check', async () => {
      const checks = await provider.check();
      expect(checks.length).toBeGreaterThan(0);
      expect(checks.filter(({ status }) => status === 'fail')).toEqual([]);
    });

    it('is closed twice without harm, ends what is under way, and makes nothing afterwards', async () => {
      provider = make({ failOn: 'FAIL', dieOn: 'DIE', stepMillis: 20 });
      const closing: Promise<void>[] = [];
      const onProgress = ({ phase }: Progress) => void (phase === 'denoise' && closing.push(provider.close()));
      const made = provider.make(batchOf(['a'], { steps: 1_000 }), { onProgress });
      await expect(made).rejects.toBeInstanceOf(UnavailableError);
      await Promise.all([...closing, provider.close()]);
      await expect(provider.make(batchOf(['a']), {})).rejects.toBeInstanceOf(UnavailableError);
    });
  });
}

interface Change {
  readonly modelHash?: string;
  readonly preset?: string;
  readonly steps?: number;
}

export function newBatch(folder: string, id: string, prompts: readonly string[], change: Change): Batch {
  const { modelHash = ONE, preset = 'auto', steps = 4 } = change;
  const request = (prompt: string, seed: number): Request => ({
    model: 'tiny',
    modelHash,
    prompt,
    negativePrompt: '',
    seed,
    width: 64,
    height: 48,
    steps,
    guidance: 7,
    distilledGuidance: null,
    scheduler: 'euler',
    schedule: 'normal',
    loras: [],
    vae: null,
    clipSkip: 0,
    initImage: null,
    strength: null,
  });
  const jobs = prompts.map((prompt, at) => ({
    id: `run-${String(at).padStart(6, '0')}`,
    runId: 'run',
    request: request(prompt, 1_000 + at),
    modelPath: '/models/tiny',
    preset,
    target: join(folder, `${id}-${at}.png`),
    temporary: join(folder, `.${id}-${at}.part`),
    format: 'png' as const,
    sidecar: null,
    attempt: 0,
  }));
  return { id, key: `${preset}:key`, device: 'cpu', jobs };
}

function made(job: string, temporary: string): Made {
  return { kind: 'made', job, temporary, width: 64, height: 48 };
}

function fileOf(batch: Batch, at: number): string {
  return batch.jobs[at]?.temporary ?? '';
}

function codesOf({ answers }: Pick<BatchResult, 'answers'>): readonly string[] {
  return answers.map((answer) => (answer.kind === 'failure' ? answer.code : answer.kind));
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
