import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { batchKey } from '../../src/batch/key.ts';
import { UnavailableError } from '../../src/errors.ts';
import { systemClock } from '../../src/process/clock.ts';
import { LocalProvider, type LocalProviderOptions } from '../../src/provider/local.ts';
import { newBatch, providerContract } from '../contracts/provider.ts';
import { PYTHON, WORKER_DIR } from '../support/python.ts';

providerContract('local', ({ failOn, dieOn, stepMillis }) =>
  local({ fail_on: failOn, crash_on: dieOn, step_seconds: stepMillis / 1_000 }),
);

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
  const batchOf = async (prompts: readonly string[], change: Parameters<typeof newBatch>[3] = {}) => {
    const folder = await mkdtemp(join(tmpdir(), 'kilnwatt-local-'));
    folders.push(folder);
    return newBatch(folder, 'launch-1', prompts, change);
  };

  it('takes the limit of a batch from the preset that the key begins with, unless it was told another', async () => {
    const keyOf = async (preset: string) => batchKey(firstOf(await batchOf(['a'], { preset })));
    const provider = opened();
    expect(provider.limit(await keyOf('auto'), 'cpu')).toBe(4);
    expect(provider.limit(await keyOf('low-vram'), 'cpu')).toBe(1);
    expect(provider.limit(await keyOf('nobody knows it'), 'cpu')).toBe(1);
    expect(opened({}, { limit: 16 }).limit(await keyOf('low-vram'), 'cpu')).toBe(16);
  });

  it('loads the model anew when only the preset differs', async () => {
    const provider = opened();
    await provider.make(await batchOf(['a']), {});
    const { overhead, shared } = await provider.make(await batchOf(['a'], { preset: 'fp32' }), {});
    expect(overhead).toHaveLength(1);
    expect(shared.engine.preset).toBe('fp32');
  });

  it('replaces the process after out-of-memory, without a wait', async () => {
    const provider = opened({ memory_batch: 1 });
    const { answers } = await provider.make(await batchOf(['a', 'b']), {});
    expect(answers).toMatchObject([
      { code: 'out_of_memory', retryable: true },
      { code: 'out_of_memory', retryable: true },
    ]);
    expect(provider.resident('cpu')).toBeNull();
    expect(provider.limit((await batchOf(['a'])).key, 'cpu')).toBe(1);
    expect((await provider.make(await batchOf(['a']), {})).answers[0]?.kind).toBe('made');
  });

  it('learns from out-of-memory for the one device, and never a larger batch than before', async () => {
    const devices = ['cpu', 'cpu:1'].map((id) => ({ id, kind: 'cpu', uuid: null, name: id }) as const);
    const provider = opened({ memory_batch: 1 }, { devices, limit: 8 });
    const key = 'one key';
    const fail = async (prompts: readonly string[]) => provider.make({ ...(await batchOf(prompts)), key }, {});
    await fail(['a', 'b', 'c', 'd']);
    expect([provider.limit(key, 'cpu'), provider.limit(key, 'cpu:1')]).toEqual([2, 8]);
    await fail(['a', 'b', 'c', 'd', 'e', 'f']);
    expect(provider.limit(key, 'cpu')).toBe(2);
  });

  it.each([
    ['model_broken', false],
    ['out_of_memory', false],
  ])('fails each job of a model whose load fails with %s, and books the load', async (code, retryable) => {
    const provider = opened({ load_failure: code });
    const result = await provider.make(await batchOf(['a', 'b']), {});
    expect(result.answers).toMatchObject([{ code, retryable }, { code }]);
    expect(provider.resident('cpu')).toBeNull();
    expect(result.overhead).toMatchObject([{ cause: 'load', energy: { millijoules: null, method: 'unknown' } }]);
  });

  it('answers each job of a batch over whose load the worker died, and books what the load took', async () => {
    const limits = { step: null, load: 300, heartbeat: null };
    const provider = opened({ load_seconds: 30 }, { limits });
    const result = await provider.make(await batchOf(['a', 'b']), {});
    expect(result.answers).toMatchObject([{ code: 'worker_died', retryable: true }, { code: 'worker_died' }]);
    expect(result.overhead).toMatchObject([{ cause: 'load', energy: { millijoules: null, method: 'unknown' } }]);
    expect(result.overhead[0]?.seconds).toBeGreaterThanOrEqual(0.3);
  });

  it('answers a prompt that is too long for a message instead of sending it', async () => {
    const provider = opened();
    const { answers } = await provider.make(await batchOf(['x'.repeat(2_000_000)]), {});
    expect(answers).toMatchObject([{ code: 'bad_request', retryable: false }]);
    expect((await provider.make(await batchOf(['a']), {})).answers[0]?.kind).toBe('made');
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

  it('reports torch, and a card that it cannot use', async () => {
    const card = { id: 'cuda:0', kind: 'cuda', uuid: 'GPU-0', name: 'a card' } as const;
    const checks = await opened({}, { engine: 'diffusers', devices: [card] }).check();
    expect(checks.map(({ name }) => name)).toEqual(['python', 'worker', 'torch', 'cuda']);
    expect(checks[2]).toMatchObject({ status: 'ok', detail: expect.stringMatching(/^\d+\.\d+/) });
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
    env: { KW_FAKE: JSON.stringify(script), PYTHONDONTWRITEBYTECODE: '1' },
    ...change,
  });
}

function firstOf<Item>({ jobs: [first] }: { readonly jobs: readonly Item[] }): Item {
  if (first === undefined) throw new Error('the batch has no jobs');
  return first;
}
