import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Batch, Device, LearnedLimit, Measurement } from '../../src/ports.ts';
import type { Anatomy } from '../../src/preset/anatomy.ts';
import { type Preset, safely } from '../../src/preset/catalogue.ts';
import { engineOf } from '../../src/preset/engine.ts';
import { PERMISSIVE, type Rules } from '../../src/preset/rules.ts';
import { Chooser } from '../../src/provider/chooser.ts';
import { FakeProvider, type FakeProviderOptions, type FakeScript } from '../../src/provider/fake.ts';
import { type Change, codesOf, MODEL, newBatch } from '../contracts/batches.ts';
import { SD15 } from '../preset/anatomies.ts';
import { footprintOf, GB, presetOf } from '../preset/choice-samples.ts';
import { ManualClock } from '../support/manual-clock.ts';

const CARD: Device = { id: 'cuda:0', kind: 'cuda', uuid: 'GPU-1', name: 'a card' };
const PLAIN = presetOf('plain', { below: ['small'] });
const FAST = presetOf('fast', { speed: 2, settings: { channels_last: true } });
const SMALL = presetOf('small', { speed: 0.5, batch_limit: 1, settings: { vae_tiling: true } });
const PRESETS = [PLAIN, FAST, SMALL];
const SHAPE = '64x48+cfg';

let folder: string;
let batches = 0;
const providers: FakeProvider[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kilnwatt-choosing-'));
});
afterEach(async () => {
  await Promise.all(providers.splice(0).map((provider) => provider.close()));
  await rm(folder, { recursive: true });
});

describe('auto on a device', () => {
  it('makes with the fastest by prior, measures it, and keeps what it measured', async () => {
    const { provider, measured } = opened({ stepMillis: 5, peakBytes: 3 * GB });
    const { shared } = await provider.make(batchOf(['a', 'b']), {});
    expect(shared.engine.preset).toBe('fast');
    expect(measured).toEqual([
      {
        device: 'GPU-1',
        model: MODEL,
        engine: engineOf(FAST),
        shape: SHAPE,
        batch: 2,
        stepSeconds: expect.any(Number),
        otherSeconds: 0,
        peakBytes: 3 * GB,
        count: 0,
        at: expect.any(Number),
      },
    ]);
    const looked = () => provider.explain(jobOf(), 'cuda:0').considered.find(({ batch }) => batch === 2);
    expect(looked()).toMatchObject({ preset: 'fast', secondsGround: null, footprint: { ground: 'learned' } });
    await provider.make(batchOf(['a', 'b']), {});
    expect(measured.at(-1)).toMatchObject({ count: 1, stepSeconds: 0.005 });
    expect(looked()).toMatchObject({ preset: 'fast', secondsGround: 'learned' });
  });

  it('goes by what an earlier process has measured', async () => {
    const known = [measurementOf(FAST, 4, 2), measurementOf(PLAIN, 4, 1)];
    const { provider } = opened({}, { known });
    expect(provider.explain(jobOf(), 'cuda:0')).toMatchObject({ preset: { name: 'plain' }, limit: 4 });
    expect((await provider.make(batchOf(['a']), {})).shared.engine.preset).toBe('plain');
  });

  it('does not go by what was measured of a preset before it was edited', async () => {
    const known = [measurementOf(PLAIN, 4, 1), measurementOf(FAST, 4, 2)];
    const edited = presetOf('plain', { settings: { tf32: true } });
    const { provider } = opened({}, { known, presets: [edited, FAST] });
    const { preset, considered } = provider.explain(jobOf(), 'cuda:0');
    expect(preset.name).toBe('fast');
    expect(considered.filter(({ preset: name }) => name === 'plain').map((one) => one.secondsGround)).toEqual(
      Array(3).fill('assumed'),
    );
  });

  it('asks the fit test for the room that there is, and the same choice is told, limited and made', async () => {
    const rules: Rules = {
      ...PERMISSIVE,
      footprintOf: ({ settings, batch }) => footprintOf((settings.channels_last ? 10 : 4) + batch),
      reserveOf: (total) => total / 10,
    };
    const room = (gigabytes: number) => ({
      known: new Map([['GPU-1', { free: gigabytes * GB, total: 20 * GB }]]),
      look: async () => new Map<string, never>(),
    });
    const picks: unknown[] = [];
    for (const gigabytes of [20, 14, 8, 4]) {
      const { provider } = opened({}, { rules, rooms: { cards: room(gigabytes) } });
      const job = jobOf({}, SD15);
      const { preset, limit } = provider.explain(job, 'cuda:0');
      expect(provider.limit(job, 'cuda:0', false)).toBe(limit);
      const batch = batchOf(['a']);
      const made = await provider.make({ ...batch, jobs: batch.jobs.map((each) => ({ ...each, anatomy: SD15 })) }, {});
      expect(made.shared.engine.preset).toBe(preset.name);
      picks.push(`${preset.name} ${limit}`);
    }
    expect(picks).toEqual(['fast 4', 'fast 2', 'plain 2', 'plain 1']);
  });

  it('does without what a worker refuses to load, in the same call, and is told it once', async () => {
    const { provider, log } = opened({ refuses: { fast: 'it needs a package that is not installed' } });
    for (let times = 0; times < 2; times += 1) {
      const { answers, shared } = await provider.make(batchOf(['a']), {});
      expect([answers[0]?.kind, shared.engine.preset]).toEqual(['made', 'plain']);
    }
    expect(log).toEqual(['cuda:0: warning: auto does without fast for tiny: it needs a package that is not installed']);
    const verdicts = provider
      .explain(jobOf(), 'cuda:0')
      .considered.map(({ preset, verdict }) => `${preset} ${verdict}`);
    expect(verdicts).toContain('fast impossible');
    const named = await provider.make(batchOf(['a'], { preset: 'fast' }), {});
    expect(codesOf(named)).toEqual(['preset_impossible']);
  });

  it('does without what a worker refused of other pictures only for those', async () => {
    const { provider } = opened({ refusesLoras: { fast: 'it takes no LoRAs' } });
    const lora = { loras: [{ name: 'ink', hash: 'sha256:1', weight: 1 }], loraPaths: ['/loras/ink'] };
    const presetOf = async (change: Change) => (await provider.make(batchOf(['a'], change), {})).shared.engine.preset;
    expect([await presetOf(lora), await presetOf({})]).toEqual(['plain', 'fast']);
  });

  it('answers with the reason where a worker refuses all that there is', async () => {
    const { provider } = opened({ refuses: { plain: 'no plain', fast: 'no fast', small: 'no small' } });
    expect(codesOf(await provider.make(batchOf(['a', 'b']), {}))).toEqual(['preset_impossible', 'preset_impossible']);
    expect(codesOf(await provider.make(batchOf(['a']), {}))).toEqual(['preset_impossible']);
    expect(() => provider.explain(jobOf(), 'cuda:0')).toThrow('auto has nothing to choose on cuda:0: plain, no plain');
  });

  it('never tries again what ran out of memory, and ends at what fits', async () => {
    const pixels = 64 * 48;
    const { provider, learned } = opened({ memoryPixels: { fast: 0, plain: 2 * pixels } });
    const made: string[] = [];
    for (let tries = 0; tries < 8; tries += 1) {
      const size = provider.limit(jobOf(), 'cuda:0', false);
      const { answers, shared } = await provider.make(batchOf(Array.from({ length: size }, () => 'a')), {});
      made.push(`${shared.engine.preset} ${size} ${answers[0]?.kind}`);
    }
    expect(made.slice(0, 5)).toEqual([
      'fast 4 failure',
      'fast 2 failure',
      'fast 1 failure',
      'plain 4 failure',
      'plain 2 made',
    ]);
    expect(new Set(made.slice(4))).toEqual(new Set(['plain 2 made']));
    expect(learned.map(({ engine, limit }) => [engine, limit])).toEqual([
      [engineOf(FAST), 2],
      [engineOf(FAST), 1],
      [engineOf(FAST), 0],
      [engineOf(PLAIN), 2],
    ]);
  });

  it('takes what is made for larger cards only where the fit test has looked at it', async () => {
    const large = presetOf('large', { speed: 3, memory_gb: 24, settings: { tf32: true } });
    const picked = (total: number, anatomy: Anatomy | null) => {
      const known = new Map([['GPU-1', { free: total * GB, total: total * GB }]]);
      const rooms = { cards: { known, look: async () => known } };
      const rules: Rules = { ...PERMISSIVE, footprintOf: ({ batch }) => footprintOf(batch) };
      const { provider } = opened({}, { presets: [PLAIN, large], rooms, rules });
      return provider.explain(jobOf({}, anatomy), 'cuda:0').preset.name;
    };
    expect([picked(24, null), picked(16, null), picked(16, SD15)]).toEqual(['large', 'plain', 'large']);
  });

  it('chooses among the safe forms for what is to be safe', async () => {
    const { provider } = opened({}, { known: [measurementOf(safely(PLAIN), 4, 1), measurementOf(safely(FAST), 4, 3)] });
    expect((await provider.make(batchOf(['a']), {})).shared.engine.preset).toBe('fast');
    expect((await provider.make(batchOf(['a'], { safe: true }), {})).shared.engine.preset).toBe('plain+safe');
  });

  it('works a choice out once, until something is learned', async () => {
    let asked = 0;
    const impossible = () => {
      asked += 1;
      return null;
    };
    const rules: Rules = { ...PERMISSIVE, impossible };
    const { provider } = opened({}, { rules });
    provider.limit(jobOf(), 'cuda:0', false);
    const once = asked;
    for (let times = 0; times < 100; times += 1) provider.limit(jobOf(), 'cuda:0', false);
    expect(asked).toBe(once);
    await provider.make(batchOf(['a']), {});
    provider.limit(jobOf(), 'cuda:0', false);
    expect(asked).toBeGreaterThan(once);
  });
});

describe('the memory of the host', () => {
  const host = () => ({ free: 10 * GB, total: 16 * GB });
  const rules: Rules = { ...PERMISSIVE, footprintOf: ({ settings }) => footprintOf(1, settings.channels_last ? 9 : 3) };
  const chooser = () => {
    const clock = new ManualClock();
    return new Chooser({ clock, presets: PRESETS, rules, rooms: { host }, loaded: () => null });
  };

  it('is tight for what needs about all of it', () => {
    const job = jobOf({}, SD15);
    expect([FAST, PLAIN].map((preset) => chooser().isTight(job, CARD, preset))).toEqual([true, false]);
    expect(chooser().isTight(jobOf(), CARD, FAST)).toBe(false);
  });

  it('is not given to two devices that load at the same time', () => {
    const both = chooser();
    const other = { ...CARD, id: 'cuda:1', uuid: 'GPU-2' };
    const pickOf = () => both.choice(jobOf({}, SD15), other, false);
    expect(pickOf()).toMatchObject({ preset: { name: 'fast' } });
    const forget = both.expect(jobOf({}, SD15), CARD, FAST);
    expect(pickOf()).toMatchObject({ room: { host: GB }, reason: expect.stringContaining('takes least') });
    forget();
    expect(pickOf()).toMatchObject({ preset: { name: 'fast' } });
  });
});

describe('a preset that was asked for by its name', () => {
  it('and that a worker refuses to load is not loaded again for the next thousand batches', async () => {
    const { provider } = opened({ refusesLoras: { fast: 'it takes no LoRAs' } });
    const lora = { loras: [{ name: 'ink', hash: 'sha256:1', weight: 1 }], loraPaths: ['/loras/ink'], preset: 'fast' };
    const make = async (change: Change) => {
      const { answers, overhead } = await provider.make(batchOf(['a'], change), {});
      const [answer] = answers;
      return [answer?.kind === 'failure' ? `${answer.code}: ${answer.message}` : answer?.kind, overhead.length];
    };
    const refused = 'preset_impossible: it takes no LoRAs';
    expect(await make(lora)).toEqual([refused, 1]);
    await make({ preset: 'plain' });
    expect(await make(lora)).toEqual([refused, 0]);
    expect(await make({ preset: 'fast' })).toEqual(['made', 1]);
  });
});

describe('under WSL2, where a full card becomes slow instead of failing', () => {
  const known = [measurementOf(FAST, 2, 0.001), measurementOf(PLAIN, 1, 10)];
  const slow: FakeScript = { stepMillis: 50, peakBytes: GB };

  it('a batch with steps three times as long as before counts as out of memory, and its pictures are kept', async () => {
    const { provider, learned, measured, log } = opened(slow, { known, spills: true });
    const { answers } = await provider.make(batchOf(['a', 'b']), {});
    expect(answers.map(({ kind }) => kind)).toEqual(['made', 'made']);
    expect(learned).toMatchObject([{ engine: engineOf(FAST), shape: SHAPE, limit: 1 }]);
    expect([measured, log.length]).toEqual([[], 1]);
    expect(log[0]).toMatch(
      /^cuda:0: warning: batches of 2 with fast are counted as out of memory: a step took .* times/,
    );
    expect(provider.limit(jobOf(), 'cuda:0', false)).toBe(1);
  });

  it.each<[string, Partial<FakeProviderOptions>, Change]>([
    ['elsewhere', {}, {}],
    ['on a processor', { spills: true, devices: [{ ...CARD, kind: 'cpu' }] }, {}],
    ['in fewer than three steps, of which the median is none', { spills: true }, { steps: 2 }],
  ])('it is only slow %s', async (_title, options, change) => {
    const { provider, learned } = opened(slow, { ...options, known });
    await provider.make(batchOf(['a', 'b'], change), {});
    expect(learned).toEqual([]);
  });
});

interface Opening extends Partial<FakeProviderOptions> {
  readonly known?: readonly Measurement[];
}

function opened(script: FakeScript = {}, { known = [], ...options }: Opening = {}) {
  const learned: LearnedLimit[] = [];
  const measured: Measurement[] = [];
  const log: string[] = [];
  const provider = new FakeProvider({
    clock: steppingClock(),
    script,
    devices: [CARD],
    presets: PRESETS,
    memory: { known: [], learn: (limit) => void learned.push(limit) },
    measurements: { known, note: (one) => void measured.push(one) },
    log: (line) => void log.push(line),
    ...options,
  });
  providers.push(provider);
  return { provider, learned, measured, log };
}

/** Whoever waits on it has waited at once. */
function steppingClock(): ManualClock {
  const clock = new ManualClock();
  const after = clock.after.bind(clock);
  clock.after = (delay, callback) => {
    const cancel = after(delay, callback);
    queueMicrotask(() => clock.advance(delay));
    return cancel;
  };
  return clock;
}

function batchOf(prompts: readonly string[], change: Change = {}): Batch {
  batches += 1;
  return { ...newBatch(folder, `launch-${batches}`, prompts, change), device: 'cuda:0' };
}

function jobOf(change: Change = {}, anatomy: Anatomy | null = null): Batch['jobs'][number] {
  const [job] = newBatch('/out', 'launch-0', ['a'], change).jobs;
  if (job === undefined) throw new Error('the batch has no jobs');
  return { ...job, anatomy };
}

/** Of 4 steps and this many seconds a picture. */
function measurementOf(preset: Preset, batch: number, seconds: number): Measurement {
  const place = { device: 'GPU-1', model: MODEL, shape: SHAPE, engine: engineOf(preset) };
  const figures = { stepSeconds: (seconds * batch) / 4, otherSeconds: 0, peakBytes: GB };
  return { ...place, ...figures, batch, count: 2, at: new ManualClock().now() };
}
