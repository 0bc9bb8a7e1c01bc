import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatMessage, LINE_LIMIT, type Outbound, parseMessage } from '../../src/worker/messages.ts';

const SAMPLES = resolve(import.meta.dirname, '../fixtures/messages');
const LAUNCH = '01993f2e-7c1a-7000-8000-0000000000aa';
const RUN = '01993f2e-7c1a-7000-8000-000000000001';

/** What we write, in our own words; each must come out as the sample of its type. */
const OUTBOUND: readonly Outbound[] = [
  {
    v: 1,
    type: 'load',
    launch: LAUNCH,
    seq: 1,
    engine: '3f2a9c1d',
    device: 'cpu',
    model: { path: '/models/tiny-sd', family: 'sd' },
    preset: {
      name: 'sdxl-12gb',
      dtype: 'float16',
      vae_dtype: 'auto',
      tf32: true,
      fp16_accumulation: false,
      attention: 'sdpa_efficient',
      fused_qkv: false,
      offload: 'text_encoders',
      vae_slicing: true,
      vae_tiling: true,
      allocator: 'expandable',
      channels_last: true,
      compile: 'regional',
      compile_mode: 'max-autotune-no-cudagraphs',
      buckets: [1, 2, 4],
      step_cache: 'none',
      step_cache_strength: 0.08,
      prompt_cache: 256,
      decoder: 'own',
      quantize: 'none',
      quantize_text: 'none',
      lora_rank: 32,
    },
  },
  {
    v: 1,
    type: 'generate',
    launch: LAUNCH,
    seq: 2,
    engine: '3f2a9c1d',
    batch: `${LAUNCH}-3`,
    params: {
      width: 512,
      height: 512,
      steps: 20,
      guidance: 7,
      distilled_guidance: null,
      scheduler: 'dpmpp_2m',
      schedule: 'karras',
      clip_skip: 0,
      loras: [{ name: 'ink', path: '/models/loras/ink.safetensors', weight: 0.75 }],
      format: 'png',
    },
    items: [
      {
        job: `${RUN}-000007`,
        prompt: 'a red circle, été',
        negative_prompt: 'blurry',
        seed: Number.MAX_SAFE_INTEGER,
        out: '/out/.00007-1.part',
      },
    ],
  },
  { v: 1, type: 'cancel', launch: LAUNCH, seq: 3, batch: `${LAUNCH}-3`, jobs: [`${RUN}-000007`] },
  { v: 1, type: 'unload', launch: LAUNCH, seq: 4 },
  { v: 1, type: 'shutdown', launch: LAUNCH, seq: 5 },
];
const outboundTypes: readonly string[] = OUTBOUND.map((message) => message.type);
const samples = readdirSync(SAMPLES).filter((name) => name.endsWith('.json'));
const inboundSamples = samples.filter((name) => !outboundTypes.includes(name.replace('.json', '')));

describe('the golden samples', () => {
  it('are one of each message of the closed set', () => {
    const types = new Set(samples.map((name) => String(sample(name).type)));
    expect([...types].sort().join(' ')).toBe(
      'cancel cancelled done failure generate heartbeat hello image load loaded log progress shutdown unload unloaded',
    );
  });

  it.each(inboundSamples)('%s is read and comes out the same', (name) => {
    expect(parseMessage(JSON.stringify(sample(name)))).toEqual({ ok: true, message: sample(name) });
  });

  it.each(OUTBOUND)('$type is written as its sample', (message) => {
    expect(JSON.parse(formatMessage(message))).toEqual(sample(`${message.type}.json`));
  });

  it.each(inboundSamples)('%s is refused with a field more, a field less, or another version', (name) => {
    const message = sample(name);
    const { seq: _, ...less } = message;
    for (const wrong of [{ ...message, more: 1 }, less, { ...message, v: 2 }]) {
      expect(parseMessage(JSON.stringify(wrong)).ok).toBe(false);
    }
  });

  it.each(outboundTypes)('%s is not a message of the worker', (type) => {
    expect(parseMessage(JSON.stringify(sample(`${type}.json`))).ok).toBe(false);
  });
});

describe('a line', () => {
  it.each(['', 'null', '[]', 'Traceback (most recent call last):', '{"v":1}'])(
    '%j is refused with a reason',
    (line) => {
      expect(parseMessage(line)).toMatchObject({ ok: false, reason: expect.stringMatching(/./) });
    },
  );

  it.each(['NaN', 'Infinity', '-Infinity', '1e999', '-1'])('with the number %s is refused', (number) => {
    const line = JSON.stringify(sample('done.json')).replace('"seconds":4.5', `"seconds":${number}`);
    expect(line).toContain(number);
    expect(parseMessage(line).ok).toBe(false);
  });

  it('with energy that is both unknown and a figure, or neither, is refused', () => {
    const done = sample('done.json');
    const { energy } = done as { readonly energy: object };
    expect(parseMessage(JSON.stringify({ ...done, energy: { ...energy, flags: ['coarse'] } })).ok).toBe(true);
    for (const wrong of [{ millijoules: 5 }, { method: 'measured' }, { flags: ['tired'] }, { bound_mj: -1 }])
      expect(parseMessage(JSON.stringify({ ...done, energy: { ...energy, ...wrong } })).ok).toBe(false);
  });

  it('with a window that ends before it begins, or a figure beside others whose part cannot be told, is refused', () => {
    const shared = sample('done-shared.json');
    const { energy } = shared as { readonly energy: { readonly window: { readonly from_ms: number } } };
    const withWindow = (change: object) =>
      parseMessage(JSON.stringify({ ...shared, energy: { ...energy, window: { ...energy.window, ...change } } })).ok;
    expect(withWindow({ to_ms: energy.window.from_ms })).toBe(true);
    expect(withWindow({ to_ms: energy.window.from_ms - 1 })).toBe(false);
    expect(withWindow({ foreign_mj: null })).toBe(false);
    expect(withWindow({ gpu: '' })).toBe(false);
  });

  it('that is refused is quoted only by its beginning', () => {
    const parsed = parseMessage('x'.repeat(5_000));
    expect(parsed.ok ? '' : parsed.reason).toMatch(/^a line is not JSON: x{200}…$/);
  });
});

describe('what we write', () => {
  const generate = OUTBOUND[1];
  const changed = (change: object): Outbound => ({
    ...(generate as Extract<Outbound, { type: 'generate' }>),
    ...change,
  });

  it('carries no number that JSON does not know, which would arrive as null', () => {
    expect(() => formatMessage({ v: 1, type: 'unload', launch: LAUNCH, seq: Number.NaN })).toThrow('seq is NaN');
  });

  it('has at most one mebibyte a line, counted in bytes', () => {
    const item = { job: 'j', prompt: 'é'.repeat(LINE_LIMIT / 2), negative_prompt: '', seed: 1, out: '/o' };
    expect(() => formatMessage(changed({ items: [item] }))).toThrow(/generate message has \d+ bytes/);
  });
});

function sample(name: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(SAMPLES, name), 'utf8'));
}
