import { describe, expect, it } from 'vitest';
import { rowReader } from '../../src/telemetry/smi-row.ts';

const CARD = 'GPU-1c5cf6d8-0ef3-4b7a-9a6c-000000000001';
const FIELDS = ['uuid', 'power.draw.instant', 'power.draw.average', 'utilization.gpu', 'memory.used', 'pstate'];
const read = rowReader(FIELDS);

describe('a row of nvidia-smi', () => {
  it('is read with its units, and what it does not tell is null', () => {
    expect(read(`${CARD}, 431.20, 402.11, 97, 1024, P2`, 5)).toEqual({
      kind: 'power',
      at: 5,
      gpu: CARD,
      watts: 431.2,
      instant: true,
      limit: null,
      utilization: 0.97,
      memoryUsed: 1024 ** 3,
      memoryTotal: null,
      temperature: null,
      fan: null,
      clock: null,
      state: 'P2',
    });
  });

  it('keeps a real zero', () => {
    expect(read(`${CARD}, 0.00, 0.00, 0, 0, P8`, 0)).toMatchObject({ watts: 0, utilization: 0, memoryUsed: 0 });
  });

  it.each(['[N/A]', 'N/A', '[Not Supported]', '[Unknown Error]', 'ERR!', '', '4 2', '1e3', '-3', 'nan', '0x12'])(
    'says null where a cell is %j',
    (cell) => {
      const reading = read(`${CARD}, ${cell}, ${cell}, ${cell}, ${cell}, ${cell}`, 0);
      expect(reading).toMatchObject({ gpu: CARD, watts: null, utilization: null, memoryUsed: null, state: null });
    },
  );

  it('falls back on the mean over a second, and says that it is one', () => {
    expect(read(`${CARD}, [N/A], 30.00, 0, 0, P8`, 0)).toMatchObject({ watts: 30, instant: false });
    expect(rowReader(['gpu_uuid', 'power.draw'])(`${CARD}, 18.00`, 0)).toMatchObject({ watts: 18, instant: false });
  });

  it.each([
    ['is cut short', `${CARD}, 431.20, 402.11, 97`],
    ['has a cell too many', `${CARD}, 431.20, 402.11, 97, 0, P2, 7`],
    ['names no card', '[GPU is lost], 431.20, 402.11, 97, 0, P2'],
    ['begins in its middle', '6c-000000000001, 431.20, 402.11, 97, 0, P2'],
    ['is a sentence', 'Unable to determine the device handle for GPU0: GPU is lost.'],
  ])('that %s is nothing', (_, row) => {
    expect(read(row, 0)).toBeNull();
  });
});
