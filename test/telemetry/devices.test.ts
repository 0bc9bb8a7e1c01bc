import { describe, expect, it } from 'vitest';
import { InputError, UnavailableError } from '../../src/errors.ts';
import type { Gpu } from '../../src/ports.ts';
import { devicesFor, devicesOf } from '../../src/telemetry/devices.ts';

const UNKNOWN = { driver: null, memory: null, memoryUsed: null, power: null, powerLimit: null };
const CARDS: readonly Gpu[] = [
  { vendor: 'nvidia', name: 'RTX 4090', index: 0, uuid: 'GPU-aa11-0001', ...UNKNOWN },
  { vendor: 'nvidia', name: 'RTX 4060 Ti', index: 1, uuid: 'GPU-aa22-0002', ...UNKNOWN },
  { vendor: 'amd', name: 'Navi 31', index: null, uuid: null, ...UNKNOWN },
];
const ids = (spec: string, gpus = CARDS) => devicesFor(spec, gpus).map(({ id }) => id);

describe('devices', () => {
  it('are all NVIDIA cards by default, and the CPU where there is none', () => {
    expect(ids('auto')).toEqual(['cuda:0', 'cuda:1']);
    expect(ids('auto', [])).toEqual(['cpu']);
    expect(ids('auto', CARDS.slice(2))).toEqual(['cpu']);
  });

  it.each([
    ['cpu', ['cpu']],
    ['cpu:2', ['cpu', 'cpu:1']],
    ['0', ['cuda:0']],
    ['cuda:1', ['cuda:1']],
    ['1, 0', ['cuda:1', 'cuda:0']],
    ['GPU-AA22', ['cuda:1']],
    ['0,cpu', ['cuda:0', 'cpu']],
  ])('named %j are %j', (spec, expected) => {
    expect(ids(spec)).toEqual(expected);
  });

  it('carry the UUID, which is what addresses a card', () => {
    expect(devicesFor('1', CARDS)).toEqual([
      { id: 'cuda:1', kind: 'cuda', uuid: 'GPU-aa22-0002', name: 'RTX 4060 Ti' },
    ]);
  });

  it.each([
    ['2', 'there is no device "2"'],
    ['gpu-bb', 'there is no device "gpu-bb"'],
    ['', 'expected auto, cpu'],
    ['cuda', 'expected auto, cpu'],
    ['auto,0', 'expected auto, cpu'],
    ['gpu-aa', 'means more than one card'],
    ['0,cuda:0', 'cuda:0 is named twice'],
    ['0,gpu-aa11', 'cuda:0 is named twice'],
    ['cpu:0', '0 workers'],
    ['cpu:1000', '1000 workers'],
  ])('named %j are refused, with what there is, wherever they were named', (spec, reason) => {
    const attempt = () => devicesFor(spec, CARDS);
    expect(attempt).toThrow(InputError);
    expect(attempt).toThrow(reason);
    expect(attempt).toThrow(/^devices: .*this machine has cuda:0 \(RTX 4090\), cuda:1 \(RTX 4060 Ti\), cpu/);
  });

  it('on the CPU are found although nvidia-smi is broken', async () => {
    const broken = {
      gpus: () => Promise.reject(new UnavailableError('nvidia-smi failed', { code: 'nvidia_smi_failed' })),
    };
    expect(await devicesOf('cpu', broken)).toHaveLength(1);
    expect(await devicesOf('cpu:2', broken)).toHaveLength(2);
    await expect(devicesOf('auto', broken)).rejects.toMatchObject({ code: 'nvidia_smi_failed' });
  });
});
