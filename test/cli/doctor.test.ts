import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { doctor, type Part } from '../../src/cli/doctor.ts';
import { configChecks, hostParts } from '../../src/cli/doctor-checks.ts';
import { loadConfig } from '../../src/config.ts';
import type { Check } from '../../src/ports.ts';
import { keptIo } from './kept-io.ts';

const OK: Check = { name: 'node', status: 'ok', detail: '24.11.0' };
const WARN: Check = { name: 'tariff', status: 'warn', detail: 'not set', mend: 'set it' };
const FAIL: Check = { name: 'python', status: 'fail', detail: 'missing', mend: 'run ./scripts/quickstart' };
const saying = (...checks: Check[]): Part => ({ check: async () => checks });

describe('doctor', () => {
  it('prints a line a check, aligned, each with the line that mends it', async () => {
    const io = keptIo();
    await doctor([saying(OK, WARN), saying(FAIL)], io);
    expect(io.written).toEqual([
      'ok    node    24.11.0',
      'warn  tariff  not set',
      '              → set it',
      'fail  python  missing',
      '              → run ./scripts/quickstart',
    ]);
    expect(io.errors).toEqual([]);
  });

  it('exits 1 on a fail only', async () => {
    expect(await doctor([saying(OK), saying(WARN)], keptIo())).toBe(0);
    expect(await doctor([saying(FAIL), saying(OK)], keptIo())).toBe(1);
    expect(await doctor([], keptIo())).toBe(0);
  });

  it('is one JSON object with --json', async () => {
    const io = keptIo({ color: true });
    await doctor([saying(OK, FAIL)], io, { json: true });
    expect(io.written).toHaveLength(1);
    expect(JSON.parse(io.written[0] ?? '')).toEqual({ ok: false, checks: [OK, FAIL] });
  });

  it('colours the status only where colours are wanted', async () => {
    const io = keptIo({ color: true });
    await doctor([saying(FAIL)], io);
    expect(io.written[0]).not.toBe(stripVTControlCharacters(io.written[0] ?? ''));
    expect(stripVTControlCharacters(io.written[0] ?? '')).toBe('fail  python  missing');
  });

  it('turns a check that throws into a fail, and still shows the others', async () => {
    const io = keptIo();
    const thrower: Part = { name: 'redis', check: () => Promise.reject(new Error('connection refused')) };
    expect(await doctor([thrower, saying(OK)], io)).toBe(1);
    expect(io.written).toEqual(['fail  redis  connection refused', 'ok    node   24.11.0']);
  });

  it('gives a part that does not answer up in time, and cancels the clocks of the others', async () => {
    const io = keptIo();
    const armed = new Map<object, () => void>();
    const after = (_: number, callback: () => void) => {
      const key = {};
      armed.set(key, callback);
      return () => void armed.delete(key);
    };
    const silent: Part = { name: 'queue', limit: 30_000, check: () => new Promise(() => {}) };
    const finished = doctor([saying(OK), silent], io, { after });
    await new Promise(setImmediate);
    expect(armed.size).toBe(1);
    for (const expire of armed.values()) expire();
    expect(await finished).toBe(1);
    expect(io.written[1]).toBe('fail  queue  no answer within 30 s');
  });
});

describe('its own checks', () => {
  function loadedWith(text: string, mode = 0o644) {
    const cwd = mkdtempSync(join(tmpdir(), 'kilnwatt-doctor-'));
    const path = join(cwd, 'kilnwatt.yaml');
    writeFileSync(path, text);
    chmodSync(path, mode);
    const loaded = loadConfig({ cwd, env: { HOME: cwd } });
    rmSync(cwd, { recursive: true });
    return { loaded, path };
  }

  it('say which file is used', () => {
    const { loaded, path } = loadedWith('model: m\n');
    expect(configChecks(loaded)[0]).toEqual({ name: 'config', status: 'ok', detail: path });
    const none = configChecks(loadConfig({ cwd: '/nowhere', env: { HOME: '/nobody' } }))[0];
    expect(none?.detail).toContain('defaults only');
  });

  it('say in one line how the tariff is set', () => {
    const unset = configChecks(loadedWith('').loaded).find(({ name }) => name === 'tariff');
    expect(unset).toMatchObject({ status: 'warn', detail: 'not set; 0.30 EUR per kWh is assumed' });
    expect(unset?.mend).toContain('tariff: { price_per_kwh: 0.30, currency: EUR }');
    const set = configChecks(loadedWith('tariff: { price_per_kwh: 0.284 }\n').loaded).find(
      ({ name }) => name === 'tariff',
    );
    expect(set).toEqual({ name: 'tariff', status: 'ok', detail: '0.284 EUR per kWh' });
    const zoned = loadedWith('tariff: { price_per_kwh: 0.284, zones: [{ price_per_kwh: 0.2, hours: "1:00-2:00" }] }\n');
    expect(configChecks(zoned.loaded).find(({ name }) => name === 'tariff')?.detail).toBe(
      '0.284 EUR per kWh and 1 zone; see "kilnwatt tariff show"',
    );
    const always = loadedWith('tariff: { zones: [{ price_per_kwh: 0.2 }] }\n');
    expect(configChecks(always.loaded).find(({ name }) => name === 'tariff')).toMatchObject({
      status: 'ok',
      detail: '1 zone at all hours; see "kilnwatt tariff show"',
    });
  });

  it('warn of a password in a file that others can read', () => {
    const secret = 'redis_url: redis://:hidden@host:6379\n';
    const warned = configChecks(loadedWith(secret).loaded).filter(({ status }) => status === 'warn');
    expect(warned[0]).toMatchObject({ name: 'config', mend: expect.stringMatching(/^chmod 600 /) });
    expect(JSON.stringify(warned)).not.toContain('hidden');
    const withoutTariff = (checks: readonly Check[]) => checks.filter(({ name }) => name === 'config');
    expect(withoutTariff(configChecks(loadedWith(secret, 0o600).loaded))).toHaveLength(1);
    expect(withoutTariff(configChecks(loadedWith('redis_url: redis://host:6379\n').loaded))).toHaveLength(1);
  });

  it('are all asked on this machine and never throw', async () => {
    const io = keptIo();
    await doctor(hostParts(loadConfig({ cwd: tmpdir(), env: { HOME: tmpdir() } })), io, { json: true });
    const { checks } = JSON.parse(io.written[0] ?? '');
    expect(checks.map(({ name }: Check) => name)).toEqual(
      expect.arrayContaining(['config', 'tariff', 'node', 'memory', 'disk (data)', 'disk (models)']),
    );
  });
});
