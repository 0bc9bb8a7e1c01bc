import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ConfigSources, loadConfig } from '../src/config.ts';
import { configJsonSchema, configSchema, SETTINGS } from '../src/config-schema.ts';
import { ConfigError, InputError } from '../src/errors.ts';
import { redisServer } from '../src/queue/redis-server.ts';

let home: string;
let cwd: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'kilnwatt-config-'));
  cwd = join(home, 'work');
  mkdirSync(cwd);
});

afterEach(() => rmSync(home, { recursive: true }));

function load(sources: Omit<ConfigSources, 'cwd'> = {}) {
  return loadConfig({ cwd, ...sources, env: { HOME: home, ...sources.env } });
}

function write(path: string, text: string): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

const local = (text: string) => write(join(cwd, 'kilnwatt.yaml'), text);
const global = (text: string) => write(join(home, '.config', 'kilnwatt', 'config.yaml'), text);

function refusalOf(attempt: () => unknown): unknown {
  try {
    attempt();
  } catch (error) {
    return error;
  }
  throw new Error('it was accepted');
}

describe('the order of the sources', () => {
  it('is flags, variables, ./kilnwatt.yaml, the file of the user, defaults', () => {
    const near = local('model: from-near\npreset: from-near\nformat: webp\n');
    const far = global('model: from-far\npreset: from-far\nformat: jpeg\n\nlog:\n  level: debug\n');
    const { config, origins } = load({
      flags: { model: 'from-flag' },
      env: { KILNWATT_MODEL: 'x', KILNWATT_PRESET: 'from-env' },
    });
    expect(config).toMatchObject({
      model: 'from-flag',
      preset: 'from-env',
      format: 'webp',
      log: { level: 'debug' },
      devices: 'auto',
    });
    expect(origins).toMatchObject({
      model: '--model',
      preset: 'KILNWATT_PRESET',
      format: `${near}:3`,
      'log.level': `${far}:6`,
      devices: 'default',
    });
  });

  it('leaves a flag out that was not given', () => {
    expect(load({ flags: { model: undefined } }).origins.model).toBe('default');
  });

  it('says which files were looked at and which were there', () => {
    local('');
    expect(load().files.map(({ path, found }) => [path, found])).toEqual([
      [join(cwd, 'kilnwatt.yaml'), true],
      [join(home, '.config', 'kilnwatt', 'config.yaml'), false],
    ]);
  });

  it('lets a nearer source take a setting back to "not set"', () => {
    local('sidecar: txt\nbatch_limit: 4\n');
    expect(load({ flags: { sidecar: 'none' }, env: { KILNWATT_BATCH_LIMIT: 'none' } }).config).toMatchObject({
      sidecar: null,
      batchLimit: null,
    });
  });

  it('merges groups by setting, not as a whole', () => {
    local('tariff: { price_per_kwh: 0.21 }\n');
    global('tariff: { price_per_kwh: 0.99, currency: CHF }\n');
    expect(load().config.tariff).toMatchObject({ pricePerKwh: 0.21, currency: 'CHF', assumed: false });
  });
});

describe('the values', () => {
  it('are frozen to the bottom', () => {
    const { config } = load();
    const parts = [config, ...Object.values(config).filter((value) => value !== null && typeof value === 'object')];
    expect(parts.length).toBeGreaterThan(4);
    expect(parts.every(Object.isFrozen)).toBe(true);
  });

  it('flag a price of electricity that nobody set', () => {
    expect(load().config.tariff).toMatchObject({ pricePerKwh: 0.3, currency: 'EUR', assumed: true });
    expect(load({ env: { KILNWATT_TARIFF_PRICE_PER_KWH: '0' } }).config.tariff).toMatchObject({
      pricePerKwh: 0,
      assumed: false,
    });
  });

  it('follow the folders that the system names, and ignore relative ones', () => {
    const env = { XDG_DATA_HOME: '/data', XDG_RUNTIME_DIR: home };
    expect(load({ env }).config).toMatchObject({
      dataDir: '/data/kilnwatt',
      modelsDir: '/data/kilnwatt/models',
      runtimeDir: join(home, 'kilnwatt'),
    });
    expect(load({ env: { XDG_DATA_HOME: 'data' } }).config.dataDir).toBe(join(home, '.local/share/kilnwatt'));
  });

  it('do not put sockets into a runtime folder that was never made', () => {
    const { runtimeDir } = load({ env: { XDG_RUNTIME_DIR: join(home, 'none'), TMPDIR: '/short' } }).config;
    expect(runtimeDir).toMatch(/^\/short\/kilnwatt-\d+$/);
  });

  it.each([
    ['./mine', 'work/mine'],
    ['../mine', 'mine'],
    ['~/mine', 'mine'],
    ['mine', null],
    ['org/mine', null],
  ])('count the model %s from the file that says it, if it can only be a path', (model, path) => {
    local(`model: ${model}\n`);
    expect(loadConfig({ cwd, env: { HOME: home } }).config.model).toBe(path === null ? model : join(home, path));
  });

  it('count relative paths from the file that says them, and know ~', () => {
    const far = global('out: pictures\nmodels_dir: ~/models\n');
    expect(load().config).toMatchObject({ out: join(dirname(far), 'pictures'), modelsDir: join(home, 'models') });
    expect(load({ flags: { out: 'here' } }).config.out).toBe(join(cwd, 'here'));
    expect(load({ env: { KILNWATT_DATA_DIR: 'd' } }).config.dataDir).toBe(join(cwd, 'd'));
  });

  it('look a program up by its bare name, and a path from where it is said', () => {
    expect(load({ env: { KILNWATT_PYTHON: 'python3.12' } }).config.python).toBe('python3.12');
    expect(load({ env: { KILNWATT_PYTHON: './venv/bin/python' } }).config.python).toBe(join(cwd, 'venv/bin/python'));
  });

  it('keep the queues of two data folders on one server apart', () => {
    const queueOf = (data: string) => load({ flags: { redis_url: 'redis://h:1', data_dir: data } }).config.queue;
    expect(queueOf('/a')).toMatch(/^kilnwatt-[0-9a-f]{8}$/);
    expect(queueOf('/a')).toBe(queueOf('/a'));
    expect(queueOf('/a')).not.toBe(queueOf('/b'));
    expect(load().config.queue).toBe('kilnwatt');
  });

  it('name one queue for one data folder, however it is spelled and before it is there', () => {
    const queueOf = (data: string) => load({ flags: { redis_url: 'redis://h:1', data_dir: data } }).config.queue;
    mkdirSync(join(home, 'real'));
    symlinkSync(join(home, 'real'), join(home, 'link'));
    const before = queueOf(join(home, 'link', 'data'));
    expect(before).toBe(queueOf(join(home, 'real', 'data')));
    mkdirSync(join(home, 'real', 'data'));
    expect(queueOf(join(home, 'link', 'data'))).toBe(before);
    expect(queueOf(join(home, 'link'))).not.toBe(before);
  });

  it.each(['redis://host:6379', 'rediss://me:secret@host/3', 'unix:///run/redis.sock'])(
    'take %s as redis_url, as the queue does',
    (url) => {
      expect(load({ flags: { redis_url: url } }).config.redisUrl).toBe(url);
      expect(redisServer({ url }).name).not.toBe('');
    },
  );

  it.each([
    ['devices', 'nonsense', 'expected auto, cpu'],
    ['devices', 'cpu,', 'expected auto, cpu'],
    ['devices', 'cpu:0', 'cpu:0 asks for 0 workers, not 1 to 64'],
    ['devices', '0,cuda:0', 'cuda:0 is named twice'],
    ['pattern', '{nope}', 'the pattern {nope} is no part of a name'],
    ['pattern', '../x', 'the pattern "../x" must be a path below'],
  ])('refuse %s %s wherever it is said, and name the place', (setting, value, sentence) => {
    const variable = `KILNWATT_${setting.toUpperCase()}`;
    expect(() => load({ env: { [variable]: value } })).toThrow(ConfigError);
    expect(() => load({ env: { [variable]: value } })).toThrow(
      `${variable}: ${setting} cannot be "${value}": ${sentence}`,
    );
    expect(() => load({ flags: { [setting]: value } })).toThrow(
      `--${setting}: ${setting} cannot be "${value}": ${sentence}`,
    );
    const path = local(`format: png\n${setting}: "${value}"\n`);
    const column = setting.length + 3;
    expect(() => load()).toThrow(`${path}:2:${column}: ${setting} cannot be "${value}": ${sentence}`);
  });

  it.each(['auto', 'cpu', 'cpu:2', '0,1', 'cuda:0', 'GPU-8f4e1c', 'cpu, 0'])('take %s as devices', (devices) => {
    expect(load({ flags: { devices } }).config.devices).toBe(devices);
  });

  it.each(['redis://:hidden@host?db=3', 'redis://host?password=hidden', 'redis://host/1#hidden'])(
    'refuse what would be ignored in the redis_url %s, and say how it is written',
    (url) => {
      const refusal = refusalOf(() => load({ flags: { redis_url: url } }));
      expect(refusal).toMatchObject({
        message: expect.stringMatching(/ignored; expected redis:\/\/:PASSWORD@host:6379\/3/),
      });
      expect(refusal).toMatchObject({ message: expect.not.stringContaining('hidden') });
    },
  );

  it.each(['localhost:6379', 'http://host', 'redis://host/x', 'unix://host/s', 'unix://', 'redis://h?db=3'])(
    'refuse %s as redis_url, as the queue does',
    (url) => {
      expect(() => load({ env: { KILNWATT_REDIS_URL: url } })).toThrow(ConfigError);
      expect(() => redisServer({ url })).toThrow(ConfigError);
    },
  );

  it.each([
    ['KILNWATT_MODEL', '123', 'model', '123'],
    ['KILNWATT_BATCH_LIMIT', '4', 'batchLimit', 4],
    ['KILNWATT_MEMORY_RESERVE_MB', '500', 'memoryReserveMb', 500],
    ['KILNWATT_NO_COLOR', 'yes', 'noColor', true],
    ['KILNWATT_NO_COLOR', '0', 'noColor', false],
    ['KILNWATT_MODEL', '', 'model', 'kiln-shapes'],
  ])('read %s=%j as what the setting wants', (name, text, key, value) => {
    expect(load({ env: { [name]: text } }).config).toHaveProperty(key, value);
  });

  it('honour NO_COLOR unless kilnwatt is told otherwise', () => {
    expect(load({ env: { NO_COLOR: '1' } })).toMatchObject({
      config: { noColor: true },
      origins: { no_color: 'NO_COLOR' },
    });
    expect(load({ env: { NO_COLOR: '' } }).config.noColor).toBe(false);
    expect(load({ env: { NO_COLOR: '1', KILNWATT_NO_COLOR: 'false' } }).config.noColor).toBe(false);
  });

  it('take what is for tests from the environment only', () => {
    const { config } = load({ env: { KILNWATT_WORKER_ENGINE: 'fake', KILNWATT_FAULT: 'after-link' } });
    expect(config).toMatchObject({ workerEngine: 'fake', fault: 'after-link' });
    expect(load().config).toMatchObject({ workerEngine: 'diffusers', fault: null });
    local('worker_engine: fake\n');
    expect(refusalOf(load)).toBeInstanceOf(ConfigError);
  });
});

describe('a file that cannot be used', () => {
  it.each([
    [
      'a key with another spelling',
      'model: m\ndata-dir: /d\n',
      ':2:1: data-dir is not a setting; did you mean data_dir?',
    ],
    [
      'a key in the wrong place',
      'price_per_kwh: 0.3\n',
      ':1:1: price_per_kwh is not a setting; did you mean tariff.price_per_kwh?',
    ],
    [
      'an unheard-of key',
      'log:\n  level: info\nwibble: 1\n',
      ':3:1: wibble is not a setting; the settings are listed by',
    ],
    [
      'an unheard-of key in a group',
      'tariff:\n  curency: EUR\n',
      ':2:3: tariff.curency is not a setting; did you mean tariff.currency?',
    ],
    [
      'a value of the wrong kind',
      'tariff:\n  price_per_kwh: 0,30\n',
      ':2:18: tariff.price_per_kwh cannot be "0,30": expected a number',
    ],
    [
      'a value outside of its list',
      'format: gif\n',
      ':1:9: format cannot be "gif": expected one of "png"|"jpeg"|"webp"',
    ],
    ['a value that is missing', 'model:\n', ':1:7: model cannot be null: expected string'],
    ['a list for a group', 'limits: [1]\n', ':1:9: limits must hold settings'],
    ['a text for the whole', 'hello\n', ':1:1: the file must hold settings'],
    ['a key said twice', 'model: a\nmodel: b\n', ':2:1: is not valid YAML: Map keys must be unique'],
    ['a bracket left open', 'model: [a\n', 'is not valid YAML'],
    ['a tab for a space', 'log:\n\tlevel: info\n', ':2:1: is not valid YAML'],
    ['two documents', 'model: a\n---\nmodel: b\n', 'is not valid YAML'],
  ])('is refused for %s, with its place', (_, text, sentence) => {
    const path = local(text);
    const error = refusalOf(load);
    expect(error).toBeInstanceOf(ConfigError);
    expect(error).toMatchObject({ code: 'bad_config', message: expect.stringContaining(sentence) });
    expect(error).toMatchObject({ message: expect.stringMatching(`^${path}:\\d+:\\d+: `) });
  });

  it('says of a decimal comma how decimals are written', () => {
    local('tariff: { price_per_kwh: 0,32 }\n');
    expect(refusalOf(load)).toMatchObject({
      message: expect.stringMatching(/:1:\d+: .*written with a point, as in 0\.32/),
    });
  });

  it('is refused when it cannot be read', () => {
    mkdirSync(join(cwd, 'kilnwatt.yaml'));
    expect(refusalOf(load)).toMatchObject({ code: 'bad_config', message: expect.stringContaining('cannot be read') });
  });

  it('never repeats a value that may hold a password', () => {
    local('redis_url: "redis:/:hidden@host"\n');
    const error = refusalOf(load);
    expect(error).toMatchObject({ message: expect.stringContaining('redis_url cannot be used: expected redis://') });
    expect(String(error)).not.toContain('hidden');
  });

  it('may be empty, or hold a group whose lines are all commented out', () => {
    local('# nothing yet\n');
    global('tariff:\n  # currency: CHF\n');
    expect(load().config.tariff.currency).toBe('EUR');
  });

  it('may use anchors and carry a byte order mark', () => {
    local('\uFEFFlimits: { step_seconds: &long 1200, load_seconds: *long }\n');
    expect(load().config.limits).toMatchObject({ stepSeconds: 1200, loadSeconds: 1200 });
  });
});

describe('a variable or flag that cannot be used', () => {
  it('is refused with the variable', () => {
    const error = refusalOf(() => load({ env: { KILNWATT_DISK_RESERVE_MB: '-5' } }));
    expect(error).toBeInstanceOf(ConfigError);
    expect(error).toMatchObject({
      code: 'bad_config',
      message: expect.stringMatching(/^KILNWATT_DISK_RESERVE_MB: .*>=0/),
    });
  });

  it('is refused with the flag, as bad input', () => {
    const error = refusalOf(() => load({ flags: { format: 'gif' } }));
    expect(error).toBeInstanceOf(InputError);
    expect(error).toMatchObject({ code: 'bad_flag', place: '--format' });
  });

  it('is refused for what is nearly a setting, but not for the variables of the scripts', () => {
    const error = refusalOf(() => load({ env: { KILNWATT_DATADIR: '/d' } }));
    expect(error).toMatchObject({ message: 'KILNWATT_DATADIR is not a setting; did you mean KILNWATT_DATA_DIR?' });
    expect(refusalOf(() => load({ env: { KILNWATT_model: 'm' } }))).toMatchObject({
      message: expect.stringContaining('KILNWATT_MODEL?'),
    });
    expect(load({ env: { KILNWATT_TORCH_INDEX: 'x' } }).config.model).toBe('kiln-shapes');
  });
});

describe('the schema', () => {
  it('describes every setting and gives its default', () => {
    expect([...SETTINGS.values()].filter(({ description }) => description.length < 8)).toEqual([]);
    expect(configSchema.safeParse({}).success).toBe(true);
  });

  it('is a JSON Schema that admits an empty file and refuses unknown keys', () => {
    const schema = configJsonSchema();
    expect(schema).toMatchObject({
      additionalProperties: false,
      properties: {
        model: { default: 'kiln-shapes', description: expect.any(String) },
        tariff: { additionalProperties: false, properties: { currency: { default: 'EUR' } } },
      },
    });
    expect(schema).not.toHaveProperty('required');
    expect(JSON.stringify(schema)).not.toContain('worker_engine');
  });
});
