import type { Gpu, RawRow, Reading, Telemetry } from '../../src/ports.ts';
import type { ManualClock } from '../support/manual-clock.ts';

export const CARD: Gpu = {
  vendor: 'nvidia',
  name: 'NVIDIA GeForce RTX 4060 Ti',
  index: 0,
  uuid: 'GPU-1',
  driver: '570.1',
  memory: 16e9,
  memoryUsed: 0,
  power: 20,
  powerLimit: 165,
};

export interface MetersOptions {
  readonly gpus?: readonly Gpu[];
  /** Every 200 ms, at so many milliseconds since the beginning; null is silence. */
  watts?(passed: number): number | null;
  /** Every 2 s, of what the cards draw together. */
  wall?(gpuWatts: number): number;
  /** The counter of each card, each second. */
  readonly counter?: boolean;
  /** Said once, at so many milliseconds. */
  readonly lost?: readonly (readonly [passed: number, reason: string])[];
}

const HOST = {
  host: { os: 'Linux', kernel: '6', virtual: null },
  cpu: { name: 'CPU', cores: 2, threads: 2 },
  memory: 8_000_000_000,
  problems: [],
};
const FIELDS = ['uuid', 'pstate', 'power.draw.instant', 'enforced.power.limit', 'utilization.gpu'];

/** A host whose meters say what they are told to, by its clock. */
export function madeUpMeters(clock: ManualClock, options: MetersOptions): Telemetry {
  const { gpus = [], watts = () => null, wall, counter = false, lost = [] } = options;
  const watch: Telemetry['watch'] = (onReading, onRow) => {
    let [stopped, passed, millijoules] = [false, 0, 7_000_000];
    const tick = () => {
      if (stopped) return;
      const power = watts(passed);
      for (const { uuid } of gpus) {
        if (power !== null && uuid !== null) tellPower({ onReading, onRow, at: clock.now(), uuid, power });
        if (power !== null && uuid !== null && counter && passed % 1000 === 0)
          onReading({ kind: 'counter', at: clock.now(), gpu: uuid, millijoules, processes: [] });
      }
      if (wall !== undefined && passed % 2000 === 0)
        onReading({ kind: 'wall', at: clock.now(), watts: wall((power ?? 0) * gpus.length), wattHours: null });
      for (const [at, reason] of lost)
        if (at === passed) onReading({ kind: 'lost', at: clock.now(), source: 'nvidia-smi', reason });
      passed += 200;
      millijoules += 200 * (power ?? 0);
      clock.after(200, tick);
    };
    tick();
    return {
      stop: async () => {
        stopped = true;
      },
    };
  };
  return { gpus: async () => gpus, inventory: async () => ({ ...HOST, gpus }), check: async () => [], watch };
}

interface Telling {
  onReading(reading: Reading): void;
  readonly onRow: ((row: RawRow) => void) | undefined;
  readonly at: number;
  readonly uuid: string;
  readonly power: number;
}

function tellPower({ onReading, onRow, at, uuid, power }: Telling): void {
  const busy = power > 50;
  onRow?.({ at, fields: FIELDS, row: `${uuid}, ${busy ? 'P2' : 'P8'}, ${power}, 165.00, ${busy ? 97 : 0}` });
  onReading({
    kind: 'power',
    at,
    gpu: uuid,
    watts: power,
    instant: true,
    limit: 165,
    utilization: busy ? 0.97 : 0,
    memoryUsed: 2 * 1024 ** 3,
    memoryTotal: 16 * 1024 ** 3,
    temperature: 41,
    fan: null,
    clock: null,
    state: busy ? 'P2' : 'P8',
  });
}
