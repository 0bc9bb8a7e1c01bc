import { describe, expect, it } from 'vitest';
import { configPath, configSchema, configShow } from '../../src/cli/config.ts';
import { loadConfig } from '../../src/config.ts';
import { SETTINGS } from '../../src/config-schema.ts';
import { keptIo } from './kept-io.ts';

const load = (env: Record<string, string> = {}, flags: Record<string, string> = {}) =>
  loadConfig({ cwd: '/nowhere', env: { HOME: '/nobody', ...env }, flags });

describe('config show', () => {
  it('gives every setting with its value and its origin', () => {
    const io = keptIo();
    configShow(load({ KILNWATT_TARIFF_CURRENCY: 'CHF' }, { data_dir: '/d' }), io);
    expect(io.written).toHaveLength(SETTINGS.size);
    const squeezed = io.written.map((line) => line.replaceAll(/ +/g, ' '));
    expect(squeezed).toContain('data_dir /d # --data-dir');
    expect(squeezed).toContain('models_dir /d/models # default');
    expect(squeezed).toContain('tariff.currency CHF # KILNWATT_TARIFF_CURRENCY');
    expect(squeezed).toContain('batch_limit null # default');
  });

  it('finds a value for every setting', () => {
    const io = keptIo();
    configShow(load(), io, { json: true });
    const shown = JSON.parse(io.written[0] ?? '');
    expect(Object.keys(shown)).toEqual([...SETTINGS.keys()]);
    expect(Object.entries(shown).filter(([, row]) => !Object.hasOwn(Object(row), 'value'))).toEqual([]);
    expect(shown['tariff.price_per_kwh']).toEqual({ value: 0.3, origin: 'default' });
  });

  it.each(['redis://user:hidden@host:6379/1', 'rediss://:hidden@host:6379', 'redis://:hidden@host/1'])(
    'never shows the password of %s',
    (url) => {
      for (const json of [false, true]) {
        const io = keptIo();
        configShow(load({ KILNWATT_REDIS_URL: url }), io, { json });
        expect(io.written.join('\n')).not.toContain('hidden');
        expect(io.written.join('\n')).toContain('***');
        expect(io.written.join('\n')).toContain('host');
      }
    },
  );

  it('shows of the notices their host only, and no body', () => {
    const env = {
      KILNWATT_NOTIFY_URL: 'https://me:hidden@ntfy.sh/hidden?auth=hidden',
      KILNWATT_NOTIFY_BODY: '{"token":"hidden"}',
    };
    for (const json of [false, true]) {
      const io = keptIo();
      configShow(load(env), io, { json });
      expect(io.written.join('\n')).not.toContain('hidden');
      expect(io.written.join('\n')).toContain('https://ntfy.sh/***');
    }
  });

  it('shows a list of groups with a line for each, and as it is in JSON', () => {
    const zones = [{ name: 'night', price_per_kwh: 0.2, hours: '22:00-06:00' }, { price_per_kwh: 0.4 }];
    const loaded = load();
    const config = { ...loaded.config, tariff: { ...loaded.config.tariff, zones } };
    const io = keptIo();
    configShow({ ...loaded, config }, io);
    const first = io.written.findIndex((line) => line.startsWith('tariff.zones'));
    expect(io.written.slice(first, first + 2).map((line) => line.trim().replaceAll(/ +/g, ' '))).toEqual([
      'tariff.zones - name: night, price_per_kwh: 0.2, hours: 22:00-06:00 # default',
      '- price_per_kwh: 0.4',
    ]);
    const json = keptIo();
    configShow({ ...loaded, config }, json, { json: true });
    expect(JSON.parse(json.written[0] ?? '')['tariff.zones'].value).toEqual(zones);
  });

  it('shows a URL without a password as it is', () => {
    const io = keptIo();
    configShow(load({ KILNWATT_REDIS_URL: 'redis://host:6379' }), io);
    expect(io.written.join('\n')).toContain('redis://host:6379  # KILNWATT_REDIS_URL');
  });
});

describe('config path', () => {
  it('gives the files in the order in which they count', () => {
    const io = keptIo();
    configPath(load(), io);
    expect(io.written).toEqual([
      '/nowhere/kilnwatt.yaml  # not there',
      '/nobody/.config/kilnwatt/config.yaml  # not there',
    ]);
    const json = keptIo();
    configPath(load(), json, { json: true });
    expect(JSON.parse(json.written[0] ?? '')[0]).toEqual({ path: '/nowhere/kilnwatt.yaml', found: false });
  });
});

describe('config schema', () => {
  it('is a JSON Schema for editors', () => {
    const io = keptIo();
    configSchema(io);
    expect(JSON.parse(io.written.join('\n'))).toMatchObject({
      $schema: expect.stringContaining('json-schema.org'),
      type: 'object',
    });
  });
});
