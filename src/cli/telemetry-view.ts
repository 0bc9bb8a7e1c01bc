import { MeterFigures, type TelemetryFigures } from '../cost/meter-figures.ts';
import type { Gpu, PackageReading, PowerReading, Reading } from '../ports.ts';
import type { EpochMillis, Millis, Watts } from '../units.ts';
import { energy, significant, whole } from './figures.ts';
import { columns } from './table.ts';

/** What the meters say now, for eyes. A reading that is old is none: it is not shown as if it went on. */
export class MeterView {
  readonly #cards: Map<string, Card>;
  readonly #labels: ReadonlyMap<string, string>;
  readonly #figures: MeterFigures;
  readonly #wall = new Recent();
  readonly #package = new Recent();
  #packageBefore: PackageReading | null = null;
  /** By source; gone once it is heard again. */
  readonly #lost = new Map<string, string>();

  constructor(gpus: readonly Gpu[], names: ReadonlyMap<string, string>) {
    this.#labels = labelsOf(gpus);
    this.#cards = new Map(gpus.flatMap(({ uuid }) => (uuid === null ? [] : [[uuid, new Card()]])));
    this.#figures = new MeterFigures(names);
  }

  get figures(): TelemetryFigures {
    return this.#figures.figures;
  }

  add(reading: Reading): void {
    this.#figures.add(reading);
    if (reading.kind === 'lost') return void this.#lost.set(reading.source, reading.reason);
    this.#lost.delete(SOURCES[reading.kind]);
    if (reading.kind === 'power') {
      const card = this.#cards.get(reading.gpu) ?? new Card();
      this.#cards.set(reading.gpu, card);
      card.add(reading);
    }
    if (reading.kind === 'wall') this.#wall.add(reading.at, reading.watts);
    if (reading.kind === 'package') this.#addPackage(reading);
  }

  /** A line each, in columns, cut at the width. */
  table(now: EpochMillis, width: number): readonly string[] {
    const head = ['', 'state', 'W', '10 s', 'limit', 'use', 'memory', 'temp', 'energy'];
    const lost = [...this.#lost.values()].map((reason) => `telemetry lost: ${reason}`);
    return [...columns([head, ...this.#rows(now)]), ...lost].map((line) => line.slice(0, width));
  }

  /** All of it on one line. */
  line(now: EpochMillis): string {
    const parts = this.#rows(now).map(
      ([name = '', state = '', watts = '', , , use = '', memory = '', temp = '', used = '']) =>
        [name, state, `${watts} W`, ...(use === '' ? [] : [use, memory, temp]), used]
          .filter((cell) => cell !== '')
          .join(' '),
    );
    return `${new Date(now).toISOString().slice(11, 19)}  ${parts.join(' | ')}`;
  }

  #rows(now: EpochMillis): readonly (readonly string[])[] {
    const { gpus, wall, package: cpu } = this.figures;
    const cards = [...this.#cards].map(([uuid, card]) => {
      const figures = gpus.find((gpu) => gpu.uuid === uuid);
      const counted = figures?.energy_counter_j ?? null;
      const used = energy(counted ?? figures?.energy_integral_j ?? null, counted === null ? 'derived' : 'measured');
      return [this.#labels.get(uuid) ?? uuid, ...card.cells(this.#lost.has('nvidia-smi') ? null : now), used];
    });
    const walls =
      wall === null ? [] : [['wall', ...this.#wall.cells(now), '', '', '', '', energy(wall.energy_j, 'measured')]];
    const cpus =
      cpu === null ? [] : [['CPU', ...this.#package.cells(now), '', '', '', '', energy(cpu.energy_j, 'derived')]];
    return [...cards, ...walls, ...cpus];
  }

  #addPackage(reading: PackageReading): void {
    const before = this.#packageBefore;
    if (before !== null && reading.at > before.at && reading.millijoules >= before.millijoules)
      this.#package.add(reading.at, (reading.millijoules - before.millijoules) / (reading.at - before.at));
    this.#packageBefore = reading;
  }
}

const SOURCES = { power: 'nvidia-smi', counter: 'nvml', wall: 'plug', package: 'rapl' } as const;
/** What is older is not how it is now. */
const FRESH_MS: Millis = 5_000;
const MEAN_MS: Millis = 10_000;

/** The power of the last ten seconds. */
class Recent {
  #samples: { readonly at: EpochMillis; readonly watts: Watts | null }[] = [];

  add(at: EpochMillis, watts: Watts | null): void {
    this.#samples.push({ at, watts });
    this.#samples = this.#samples.filter((sample) => sample.at > at - MEAN_MS);
  }

  /** State, watts now and in the mean. */
  cells(now: EpochMillis | null): readonly string[] {
    const last = this.#samples.at(-1);
    if (last === undefined || now === null || last.at < now - FRESH_MS) return ['silent', '?', '?'];
    const known = this.#samples.map(({ watts }) => watts).filter((watts) => watts !== null);
    const mean = known.length === 0 ? null : known.reduce((sum, watts) => sum + watts, 0) / known.length;
    return ['', wattsOf(last.watts), wattsOf(mean)];
  }
}

class Card {
  readonly #power = new Recent();
  #last: PowerReading | null = null;

  add(reading: PowerReading): void {
    this.#power.add(reading.at, reading.watts);
    this.#last = reading;
  }

  cells(now: EpochMillis | null): readonly string[] {
    const [state = '', ...watts] = this.#power.cells(now);
    const last = this.#last;
    if (last === null || state !== '') return [state, ...watts, '', '', '', ''];
    return [
      last.state ?? '?',
      ...watts,
      wattsOf(last.limit),
      last.utilization === null ? '?' : `${whole(100 * last.utilization)}%`,
      last.memoryUsed === null ? '?' : `${significant(last.memoryUsed / 1024 ** 3)} GiB`,
      last.temperature === null ? '?' : `${whole(last.temperature)}°C`,
    ];
  }
}

/** By UUID; with its number where there are several. */
function labelsOf(gpus: readonly Gpu[]): ReadonlyMap<string, string> {
  const label = ({ index, name }: Gpu) =>
    gpus.length > 1 && index !== null ? `${index} ${shortName(name)}` : shortName(name);
  return new Map(gpus.flatMap((gpu) => (gpu.uuid === null ? [] : [[gpu.uuid, label(gpu)]])));
}

function wattsOf(watts: Watts | null): string {
  if (watts === null) return '?';
  return watts < 9.95 ? watts.toFixed(1) : watts.toFixed(0);
}

/** `NVIDIA GeForce RTX 4090` -> `RTX 4090` */
export function shortName(name: string): string {
  return name.replace(/^NVIDIA\s+(GeForce\s+)?/, '');
}
