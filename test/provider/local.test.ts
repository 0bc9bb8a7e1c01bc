import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { UnavailableError } from '../../src/errors.ts';
import type { LearnedLimit, Measurement } from '../../src/ports.ts';
import { presetNamed } from '../../src/preset/catalogue.ts';
import { engineOf } from '../../src/preset/engine.ts';
import { PERMISSIVE, type Rules } from '../../src/preset/rules.ts';
import { systemClock } from '../../src/process/clock.ts';
import { LocalProvider, type LocalProviderOptions } from '../../src/provider/local.ts';
import { codesOf, MODEL, newBatch } from '../contracts/batches.ts';
import { providerContract } from '../contracts/provider.ts';
import { type MakeProvider, PRESETS_TRIED } from '../contracts/provider-bench.ts';
import { providerLearningContract } from '../contracts/provider-learning.ts';
import { SD15 } from '../preset/anatomies.ts';
import { footprintOf } from '../preset/choice-samples.ts';
import { PYTHON, WORKER_DIR } from '../support/python.ts';

const makeLocal: MakeProvider = ({ failOn, dieOn, blackOn, stepMillis, loadMillis, memoryPixels }) =>
  local({
    black_always_on: failOn,
    black_on: blackOn,
    crash_on: dieOn,
    step_seconds: stepMillis / 1_000,
    load_seconds: loadMillis / 1_000,
    memory_pixels: memoryPixels,
  });

providerContract('local', makeLocal);
providerLearningContract('local', makeLocal);

describe('the local provider', () => {
  const providers: LocalProvider[] = [];
  const folders: string[] = [];

  afterEach(async () => {
    await Promise.all(providers.splice(0).map((provider) => provider.close()));
    await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true })));
  });

  const opened = (...options: Parameters<typeof local>) => {
    const provider = local(...options);
    providers.push(provider);
    return provider;
  };
  /** Whose meter counts up a joule in each window. */
  const onProcessors = async (script: Readonly<Record<string, unknown>>) => {
    const root = await mkdtemp(join(tmpdir(), 'kilnwatt-powercap-'));
    folders.push(root);
    const zone = join(root, 'intel-rapl:0');
    await mkdir(zone);
    const files = { name: 'package-0', energy_uj: '5', max_energy_range_uj: '262143328850' };
    for (const [name, text] of Object.entries(files)) await writeFile(join(zone, name), text);
    const whole = { ...script, processors: true };
    return [whole, { env: { KW_FAKE: JSON.stringify(whole), KW_POWERCAP: root } }] as const;
  };
  const batchOf = async (prompts: readonly string[], change: Parameters<typeof newBatch>[3] = {}) => {
    const folder = await mkdtemp(join(tmpdir(), 'kilnwatt-local-'));
    folders.push(folder);
    return newBatch(folder, 'launch-1', prompts, change);
  };

  it('lets a batch hold what it was told, instead of what the preset says', async () => {
    const job = firstOf(await batchOf(['a'], { preset: 'low-vram' }));
    expect(opened({}, { limit: 16 }).limit(job, 'cpu', false)).toBe(16);
  });

  it('names the process that works on a device, for as long as there is one', async () => {
    const provider = opened();
    expect(provider.pids('cpu')).toEqual([]);
    await provider.make(await batchOf(['a']), {});
    const [pid = 0, ...others] = provider.pids('cpu');
    expect(others).toEqual([]);
    expect(process.kill(pid, 0)).toBe(true);
    await provider.rest('cpu');
    expect(provider.pids('cpu')).toEqual([]);
  });

  it('loads the model anew when only the preset differs', async () => {
    const provider = opened();
    await provider.make(await batchOf(['a']), {});
    const { overhead, shared } = await provider.make(await batchOf(['a'], { preset: 'fp32' }), {});
    expect(overhead).toHaveLength(1);
    expect(shared.engine.preset).toBe('fp32');
  });

  it('makes a batch with LoRAs, and refuses one whose files did not come along', async () => {
    const loras = ['a', 'b'].map((hash) => ({ name: 'ink', hash, weight: 0.5 }));
    const provider = opened();
    const whole = await provider.make(await batchOf(['a'], { loras, loraPaths: ['/loras/a', '/loras/b'] }), {});
    expect(codesOf(whole)).toEqual(['made']);
    const { answers } = await provider.make(await batchOf(['a'], { loras, loraPaths: ['/loras/a'] }), {});
    expect(answers).toMatchObject([
      { code: 'bad_request', message: 'the job came without the file of its LoRA ink; submit it again' },
    ]);
  });

  it('replaces the process after out-of-memory, without a wait', async () => {
    const provider = opened({ memory_batch: 1 });
    const { answers } = await provider.make(await batchOf(['a', 'b']), {});
    expect(answers).toMatchObject([
      { code: 'out_of_memory', retryable: true },
      { code: 'out_of_memory', retryable: true },
    ]);
    expect(provider.resident('cpu')).toBeNull();
    expect((await provider.make(await batchOf(['a']), {})).answers[0]?.kind).toBe('made');
  });

  it('learns of the memory that all workers on the processor share, and never a larger batch than before', async () => {
    const devices = ['cpu', 'cpu:1'].map((id) => ({ id, kind: 'cpu', uuid: null, name: id }) as const);
    const provider = opened({ memory_batch: 1 }, { devices, limit: 8 });
    const limits = async () => {
      const job = firstOf(await batchOf(['a']));
      return devices.map(({ id }) => provider.limit(job, id, false));
    };
    await provider.make(await batchOf(['a', 'b', 'c', 'd']), {});
    expect(await limits()).toEqual([2, 2]);
    await provider.make({ ...(await batchOf(['a', 'b'])), device: 'cpu:1' }, {});
    expect(await limits()).toEqual([1, 1]);
  });

  it('knows what an earlier process has learned, and tells what it learns itself', async () => {
    const learned: LearnedLimit[] = [];
    const known = { ...LIMIT, shape: '64x48+cfg', limit: 0, at: Date.now() };
    const memory = { known: [known], learn: (limit: LearnedLimit) => void learned.push(limit) };
    const provider = opened({ memory_pixels: { 'low-vram': 1 } }, { memory });
    const { answers, overhead } = await provider.make(await batchOf(['a']), {});
    const message = '64x48 does not fit on cpu: tried plain in batches of 1 and low-vram in batches of 1';
    expect(answers).toMatchObject([{ code: 'out_of_memory', retryable: false, message }]);
    expect([overhead.length, learned]).toEqual([
      1,
      [{ ...known, engine: engineOf(presetNamed('low-vram')), at: expect.any(Number) }],
    ]);
    expect(learned[0]?.at).toBeGreaterThanOrEqual(known.at);
  });

  it('notes what each kind of batch took, and tells it', async () => {
    const measured: Measurement[] = [];
    const measurements = { known: [], note: (one: Measurement) => void measured.push(one) };
    const provider = opened({ step_seconds: 0.01 }, { measurements });
    for (const prompts of [['a', 'b'], ['a'], ['a']]) await provider.make(await batchOf(prompts), {});
    const { limit: _, ...kind } = { ...LIMIT, shape: '64x48+cfg' };
    expect(measured).toEqual(
      [
        { batch: 2, count: 0 },
        { batch: 1, count: 1 },
        { batch: 1, count: 2 },
      ].map((one) => ({
        ...kind,
        ...one,
        stepSeconds: expect.any(Number),
        otherSeconds: expect.any(Number),
        peakBytes: expect.any(Number),
        at: expect.any(Number),
      })),
    );
    expect(Math.min(...measured.map(({ peakBytes }) => peakBytes))).toBeGreaterThan(1_000_000);
    const { room, considered } = provider.explain(firstOf(await batchOf(['a'])), 'cpu');
    expect(considered.filter(({ secondsGround }) => secondsGround === 'learned')).toMatchObject([{ batch: 1 }]);
    expect(room.device).toBeGreaterThan(1_000_000);
  });

  it('counts a load that runs out of memory for every shape', async () => {
    const learned: LearnedLimit[] = [];
    const memory = { known: [], learn: (limit: LearnedLimit) => void learned.push(limit) };
    const provider = opened({ load_failure: 'out_of_memory' }, { memory });
    const { answers } = await provider.make(await batchOf(['a']), {});
    expect(answers).toMatchObject([
      { retryable: true, message: expect.stringContaining('next are batches of 1 with low-vram') },
    ]);
    await provider.make(await batchOf(['a']), {});
    const limit = { ...LIMIT, shape: '*', limit: 0, at: expect.any(Number) };
    expect(learned).toEqual(['plain', 'low-vram'].map((name) => ({ ...limit, engine: engineOf(presetNamed(name)) })));
    const another = await provider.make(await batchOf(['a'], { width: 48 }), {});
    const tried = ['plain', 'low-vram'].map((preset) => `${preset}, which ran out of memory while it loaded`);
    const message = `48x48 does not fit on cpu: tried ${tried.join(' and ')}`;
    expect(another).toMatchObject({ answers: [{ code: 'out_of_memory', retryable: false, message }], overhead: [] });
  });

  it('does not count jobs against the memory that were given up before their batch began', async () => {
    const provider = opened({ memory_pixels: { plain: 1 } });
    const batch = await batchOf(['a', 'b', 'c', 'd']);
    const gone = AbortSignal.abort(new Error('enough'));
    await provider.make(batch, { givenUp: new Map(batch.jobs.slice(1).map(({ id }) => [id, gone])) });
    expect((await provider.make(await batchOf(['a']), {})).shared.engine.preset).toBe('low-vram');
  });

  it('says once that pictures are made safely from here on', async () => {
    const lines: string[] = [];
    const provider = opened(
      { black_on: 'BLACK' },
      { log: (line) => void (line.includes('black') && lines.push(line)) },
    );
    for (let times = 0; times < 2; times += 1) await provider.make(await batchOf(['BLACK'], { safe: true }), {});
    expect(lines).toEqual([
      'cpu: pictures of tiny that were black with auto are not with the VAE in float32; what fits is made so from here on',
    ]);
  });

  it.each(['model_broken', 'out_of_memory'])(
    'fails each job of a model whose load fails with %s, and books the load',
    async (code) => {
      const provider = opened({ load_failure: code });
      const result = await provider.make(await batchOf(['a', 'b']), {});
      expect(result.answers).toMatchObject([{ code, retryable: code === 'out_of_memory' }, { code }]);
      expect(provider.resident('cpu')).toBeNull();
      expect(result.overhead).toMatchObject([{ cause: 'load', energy: { millijoules: null, method: 'unknown' } }]);
    },
  );

  it('books a load that failed with what its worker read of it', async () => {
    const result = await opened(...(await onProcessors({ load_failure: 'model_broken' }))).make(
      await batchOf(['a']),
      {},
    );
    expect(result.answers).toMatchObject([{ code: 'model_broken' }]);
    expect(result.overhead).toMatchObject([{ cause: 'load', energy: A_JOULE }]);
  });

  it('books what processors burn for one worker, and not for each of several what all of them burnt', async () => {
    const alone = await opened(...(await onProcessors({}))).make(await batchOf(['a']), {});
    expect([alone.overhead[0]?.energy, alone.shared.energy]).toMatchObject([A_JOULE, A_JOULE]);
    const [script, { env }] = await onProcessors({});
    const both = ['cpu', 'cpu:1'].map((id) => ({ id, kind: 'cpu' as const, uuid: null, name: 'CPU' }));
    const among = await opened(script, { env, devices: both }).make(await batchOf(['a']), {});
    const untold = { millijoules: null, method: 'unknown', meter: 'none' };
    expect([among.overhead[0]?.energy, among.shared.energy]).toEqual([untold, untold]);
  });

  it('answers each job of a batch over whose load the worker died, and books what the load took', async () => {
    const limits = { step: null, load: 300, heartbeat: null };
    const provider = opened({ load_seconds: 30 }, { limits });
    const result = await provider.make(await batchOf(['a', 'b']), {});
    expect(result.answers).toMatchObject([
      { code: 'worker_died_loading', retryable: true },
      { code: 'worker_died_loading' },
    ]);
    expect(result.overhead).toMatchObject([{ cause: 'load', energy: { millijoules: null, method: 'unknown' } }]);
    expect(result.overhead[0]?.seconds).toBeGreaterThanOrEqual(0.3);
  });

  it('fails jobs of a model that the host has no room for, where the kernel ends each of its loads', async () => {
    const learned: LearnedLimit[] = [];
    const memory = { known: [], learn: (limit: LearnedLimit) => void learned.push(limit) };
    const rules: Rules = { ...PERMISSIVE, footprintOf: () => footprintOf(1e6, 1e6) };
    const provider = opened({ load_signal: 'SIGKILL' }, { memory, rules });
    const batch = await batchOf(['a']);
    const large = { ...batch, jobs: batch.jobs.map((job) => ({ ...job, anatomy: SD15 })) };
    const message = expect.stringMatching(/^64x48 does not fit on cpu: tried plain, which ran out of memory/);
    const lost = { code: 'out_of_memory', retryable: false, message };
    expect((await provider.make(large, {})).answers).toMatchObject([lost]);
    expect(learned).toMatchObject([{ engine: engineOf(presetNamed('plain')), shape: '*', limit: 0 }]);
    expect(await provider.make(large, {})).toMatchObject({ answers: [lost], overhead: [] });
  });

  it('fails of an order that is too large only the job that would be so alone', async () => {
    const provider = opened();
    const batch = await batchOf(['x'.repeat(2_000_000), 'a', 'b']);
    const { answers } = await provider.make(batch, {});
    const waits = { code: 'order_too_large', retryable: true };
    expect(answers).toMatchObject([{ code: 'bad_request', retryable: false }, waits, waits]);
    expect(provider.limit(firstOf(batch), 'cpu', false)).toBe(4);
  });

  it('makes jobs one by one whose order is too large only together', async () => {
    const provider = opened();
    const long = await batchOf(['x'.repeat(400_000), 'y'.repeat(400_000), 'z'.repeat(400_000)]);
    expect(codesOf(await provider.make(long, {}))).toEqual(Array(3).fill('order_too_large'));
    expect(provider.limit(firstOf(long), 'cpu', false)).toBe(1);
    expect(provider.limit(firstOf(await batchOf(['a'], { width: 48 })), 'cpu', false)).toBe(4);
    const alone = { ...long, jobs: long.jobs.slice(0, 1) };
    expect(codesOf(await provider.make(alone, {}))).toEqual(['made']);
  });

  it('answers a prompt that is too long for a message instead of sending it', async () => {
    const provider = opened();
    const { answers } = await provider.make(await batchOf(['x'.repeat(2_000_000)]), {});
    expect(answers).toMatchObject([{ code: 'bad_request', retryable: false }]);
    expect((await provider.make(await batchOf(['a']), {})).answers[0]?.kind).toBe('made');
  });

  it('says of a device that it is in quarantine, by the rule that it was given', async () => {
    const provider = opened({ crash_on: 'DIE' }, { breaker: { deaths: 1, probeAfter: 60_000, probeMost: 60_000 } });
    await provider.make(await batchOf(['DIE']), {});
    expect(provider.quarantine('cpu')).toMatchObject({ reason: expect.stringContaining('1 death') });
    await expect(provider.make(await batchOf(['a']), {})).rejects.toMatchObject({ code: 'device_quarantined' });
  });

  it('refuses a device that it has not', async () => {
    const batch = { ...(await batchOf(['a'])), device: 'cuda:7' };
    await expect(opened().make(batch, {})).rejects.toThrow('there is no device cuda:7 here; use one of cpu');
  });

  it('lets each worker see one card only, so that two ways of numbering cards cannot disagree', async () => {
    const card = { id: 'cuda:1', kind: 'cuda', uuid: 'GPU-1', name: 'the second card' } as const;
    const result = await opened({}, { devices: [card] }).make({ ...(await batchOf(['a'])), device: 'cuda:1' }, {});
    expect(result.shared.engine.settings).toMatchObject({ device: 'cuda:0' });
  });

  it('says what is wrong with Python, and how to mend it', async () => {
    const missing = opened({}, { python: '/nowhere/python' });
    expect(await missing.check()).toMatchObject([{ name: 'python', status: 'fail', mend: expect.any(String) }]);
    await expect(missing.make(await batchOf(['a']), {})).rejects.toBeInstanceOf(UnavailableError);
    const elsewhere = opened({}, { workerDir: tmpdir() });
    expect(await elsewhere.check()).toMatchObject([{ status: 'ok' }, { name: 'worker', status: 'fail' }]);
  });

  it('reports torch, a card that it cannot use, and the extras that were added', async () => {
    const card = { id: 'cuda:0', kind: 'cuda', uuid: 'GPU-0', name: 'a card' } as const;
    const checks = await opened({}, { engine: 'diffusers', devices: [card] }).check();
    expect(checks.map(({ name }) => name)).toEqual(['python', 'worker', 'torch', 'cuda', 'extras']);
    expect(checks[2]).toMatchObject({ status: 'ok', detail: expect.stringMatching(/^\d+\.\d+/) });
    expect(checks[4]).toMatchObject({
      status: 'ok',
      detail: expect.stringMatching(/torchao, bitsandbytes, deepcache/),
    });
  });
});

function local(
  script: Readonly<Record<string, unknown>> = {},
  change: Partial<LocalProviderOptions> = {},
): LocalProvider {
  return new LocalProvider({
    devices: [{ id: 'cpu', kind: 'cpu', uuid: null, name: 'CPU' }],
    python: PYTHON,
    workerDir: WORKER_DIR,
    engine: 'fake',
    launch: 'launch',
    clock: systemClock,
    log: () => {},
    presets: PRESETS_TRIED,
    env: { KW_FAKE: JSON.stringify(script), PYTHONDONTWRITEBYTECODE: '1' },
    ...change,
  });
}

const A_JOULE = { millijoules: 1_000, method: 'derived', meter: 'rapl', flags: ['whole_package'] };

const LIMIT: Omit<LearnedLimit, 'at'> = {
  device: 'cpu',
  model: MODEL,
  engine: engineOf(presetNamed('plain')),
  shape: '64x48',
  limit: 0,
};

function firstOf<Item>({ jobs: [first] }: { readonly jobs: readonly Item[] }): Item {
  if (first === undefined) throw new Error('the batch has no jobs');
  return first;
}
