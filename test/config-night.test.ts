import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../src/config.ts';
import { configJsonSchema } from '../src/config-schema.ts';

let cwd: string;

beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'kilnwatt-night-'));
});

afterEach(() => rmSync(cwd, { recursive: true }));

/** Of a `kilnwatt.yaml` and of variables. */
function load(yaml = '', env: Record<string, string> = {}) {
  writeFileSync(join(cwd, 'kilnwatt.yaml'), yaml);
  return loadConfig({ cwd, env: { HOME: cwd, ...env } }).config;
}

function complaintOf(yaml: string, env: Record<string, string> = {}): string {
  try {
    load(yaml, env);
  } catch (error) {
    return String(error);
  }
  throw new Error('it was accepted');
}

describe('how long the worker may take and stay', () => {
  it('has defaults for what ends a worker, and none for one picture', () => {
    const { limits, worker } = load();
    expect(limits).toMatchObject({ jobSeconds: null, stopSeconds: 120 });
    expect(worker).toEqual({ recyclePictures: 1_000, recycleGrowthMb: 4_096, idleUnloadSeconds: 300 });
  });

  it('is set, or switched off, by file and variable', () => {
    const yaml = 'limits: { job_seconds: 600, stop_seconds: 0 }\nworker: { recycle_pictures: null }\n';
    const { limits, worker } = load(yaml, {
      KILNWATT_WORKER_IDLE_UNLOAD_SECONDS: 'none',
      KILNWATT_WORKER_RECYCLE_GROWTH_MB: '512',
    });
    expect(limits).toMatchObject({ jobSeconds: 600, stopSeconds: 0 });
    expect(worker).toEqual({ recyclePictures: null, recycleGrowthMb: 512, idleUnloadSeconds: null });
  });

  it.each([
    ['limits: { stop_seconds: -1 }', 'limits.stop_seconds cannot be -1'],
    ['limits: { job_seconds: 0 }', 'limits.job_seconds cannot be 0'],
    ['worker: { recycle_pictures: 1.5 }', 'worker.recycle_pictures cannot be 1.5: expected int'],
  ])('is refused for %s', (yaml, sentence) => {
    expect(complaintOf(yaml)).toContain(sentence);
  });
});

describe('hours', () => {
  it('are not set, for all devices, or by device', () => {
    expect(load().hours).toBeNull();
    expect(load('hours: 22:00-07:00\n').hours).toBe('22:00-07:00');
    expect(load('', { KILNWATT_HOURS: '12:00-13:00,22:00-07:00' }).hours).toBe('12:00-13:00,22:00-07:00');
    expect(load('hours: 22:00-07:00\n', { KILNWATT_HOURS: 'none' }).hours).toBeNull();
    const byDevice = load('hours:\n  cuda:0: 22:00-07:00\n  1: 00:00-24:00\n').hours;
    expect(byDevice).toEqual({ 'cuda:0': '22:00-07:00', 1: '00:00-24:00' });
    expect(byDevice).toSatisfy(Object.isFrozen);
  });

  it.each([
    ['hours: nightly', 'hours cannot be "nightly": expected 22:00-07:00, or several: 12:00-13:30,22:00-07:00'],
    ['hours: 22', 'hours cannot be 22: expected 22:00-07:00, or { "cuda:0": "22:00-07:00" }'],
    ['hours: { "cuda:0": [1] }', 'expected 22:00-07:00, or { "cuda:0": "22:00-07:00" }'],
    ['hours: { "cuda:0": "22-7" }', 'expected 22:00-07:00, or several: 12:00-13:30,22:00-07:00'],
    ['hours: { card: "22:00-07:00" }', '"card" is no device; expected cpu, cuda:0, 0, or the UUID of a card'],
    ['hours: 07:00-07:00', 'ends as it begins; the whole day is 00:00-24:00'],
  ])('are refused for %s, with what is expected', (yaml, sentence) => {
    expect(complaintOf(yaml)).toContain(sentence);
  });
});

describe('notices', () => {
  it('go nowhere by default, and would tell everything', () => {
    expect(load().notify).toEqual({
      url: null,
      preset: 'plain',
      body: null,
      on: ['done', 'first_failure', 'stalled', 'paused'],
      stalledMinutes: 30,
    });
  });

  it('are set by file and variable; what is told is a list, or names between commas', () => {
    const yaml = 'notify: { url: "https://ntfy.sh/t", preset: ntfy, on: [done], stalled_minutes: 5 }\n';
    expect(load(yaml).notify).toEqual({
      url: 'https://ntfy.sh/t',
      preset: 'ntfy',
      body: null,
      on: ['done'],
      stalledMinutes: 5,
    });
    expect(load(yaml, { KILNWATT_NOTIFY_ON: 'paused, done' }).notify.on).toEqual(['done', 'paused']);
    expect(load('notify: { on: [] }\n').notify.on).toEqual([]);
    expect(load(yaml).notify.on).toSatisfy(Object.isFrozen);
  });

  it.each(['{"text": "{line}"}', '{"text": {json_line}, "kind": "{kind}"}', '{run}: {line}'])(
    'may have the body %s',
    (body) => {
      expect(load('', { KILNWATT_NOTIFY_BODY: body }).notify.body).toBe(body);
    },
  );

  it.each([
    [
      'notify: { on: [finished] }',
      'notify.on cannot be ["finished"]: expected some of done, first_failure, stalled, paused',
    ],
    ['notify: { on: "done,finished" }', 'expected some of done, first_failure, stalled, paused'],
    ['notify: { preset: slack }', 'expected one of "plain"|"ntfy"|"discord"'],
    ['notify: { body: "{name}: {line}" }', '{name} stands for nothing; there are {line} {run} {kind} {json_line}'],
  ])('are refused for %s, with what is expected', (yaml, sentence) => {
    expect(complaintOf(yaml)).toContain(sentence);
  });

  it.each(['ntfy.sh/hidden', 'ftp://host/hidden', 'https:///hidden h'])(
    'are not sent to %s, and the address is not repeated',
    (url) => {
      for (const complaint of [
        complaintOf('', { KILNWATT_NOTIFY_URL: url }),
        complaintOf(`notify: { url: "${url}" }`),
      ]) {
        expect(complaint).toContain('notify.url cannot be used: expected an address as https://ntfy.sh/my-topic');
        expect(complaint).not.toContain('hidden');
      }
    },
  );

  it('are told of in the JSON Schema as what the file may say', () => {
    expect(configJsonSchema()).toMatchObject({
      properties: {
        hours: { default: null, anyOf: expect.any(Array) },
        notify: {
          additionalProperties: false,
          properties: {
            on: {
              anyOf: [
                { type: 'array', items: { enum: ['done', 'first_failure', 'stalled', 'paused'] } },
                { type: 'string' },
              ],
            },
          },
        },
      },
    });
  });
});
