/** What the host and its meters tell. Types only. */
import type { Checked } from './ports.ts';
import type { Bytes, EpochMillis, Millijoules, Watts } from './units.ts';

/** A graphics card as the host sees it. A figure that could not be read is null; a real 0 stays 0. */
export interface Gpu {
  readonly vendor: 'nvidia' | 'amd' | 'intel' | 'other';
  readonly name: string;
  /** Its number in nvidia-smi; a label only, because CUDA may count in another order. Null where nvidia-smi does not list it. */
  readonly index: number | null;
  /** What addresses it. Null where nvidia-smi does not list it. */
  readonly uuid: string | null;
  readonly driver: string | null;
  readonly memory: Bytes | null;
  readonly memoryUsed: Bytes | null;
  /** Draw now, and the limit in force. */
  readonly power: Watts | null;
  readonly powerLimit: Watts | null;
}

/** A one-off record of the host. */
export interface Inventory {
  readonly host: { readonly os: string; readonly kernel: string; readonly virtual: boolean | null };
  readonly cpu: { readonly name: string; readonly cores: number; readonly threads: number };
  readonly memory: Bytes;
  readonly gpus: readonly Gpu[];
  /** What could not be found out: a sentence each. */
  readonly problems: readonly string[];
}

export interface Telemetry extends Checked {
  /**
   * The NVIDIA cards, read now, in the order of nvidia-smi; none where there is no nvidia-smi.
   * @throws UnavailableError `nvidia_smi_failed` when it is there and does not answer
   */
  gpus(): Promise<readonly Gpu[]>;
  /** Read once; every call gives the same record. Never throws. */
  inventory(): Promise<Inventory>;
  /**
   * Readings of all meters as they come, until it is stopped. Never throws: a meter that falls silent is a `lost` reading,
   * once, and it is tried again. Those of one card and kind come in the order of their times.
   * @param onRow what nvidia-smi printed, as it came and before its reading, for a recording; not every adapter has it
   */
  watch(onReading: (reading: Reading) => void, onRow?: (row: RawRow) => void): Watching;
}

export interface Watching {
  /** Ends its programs; nothing comes after it has resolved. May be called twice. */
  stop(): Promise<void>;
}

export type Reading = PowerReading | CounterReading | WallReading | PackageReading | LostReading;

/** A row of nvidia-smi. What the card does not tell is null; a real 0 is 0. */
export interface PowerReading {
  readonly kind: 'power';
  readonly at: EpochMillis;
  /** UUID. */
  readonly gpu: string;
  readonly watts: Watts | null;
  /** False where the field is a mean over the last second, which smears what is short. */
  readonly instant: boolean;
  readonly limit: Watts | null;
  /** Share of the time in which a kernel ran, 0 … 1. */
  readonly utilization: number | null;
  readonly memoryUsed: Bytes | null;
  readonly memoryTotal: Bytes | null;
  /** Degrees Celsius. */
  readonly temperature: number | null;
  /** Share of its speed, 0 … 1. */
  readonly fan: number | null;
  /** MHz. */
  readonly clock: number | null;
  /** `P0` … `P15` */
  readonly state: string | null;
}

/** A line of nvidia-smi as it was printed, whatever could be made of it. */
export interface RawRow {
  readonly at: EpochMillis;
  /** What its cells are, by the names that nvidia-smi has for them. */
  readonly fields: readonly string[];
  readonly row: string;
}

/** NVML's energy counter, and who has a context on the card. */
export interface CounterReading {
  readonly kind: 'counter';
  readonly at: EpochMillis;
  readonly gpu: string;
  /** Since the driver was loaded; null where the card has no counter. */
  readonly millijoules: Millijoules | null;
  /** Programs that compute on the card, with the share of its time that each had since the last reading; null where that cannot be told. */
  readonly processes: readonly { readonly pid: number; readonly share: number | null }[] | null;
}

/** Of the whole host, by a plug at the wall. */
export interface WallReading {
  readonly kind: 'wall';
  readonly at: EpochMillis;
  readonly watts: Watts | null;
  /** The plug's own counter. */
  readonly wattHours: number | null;
}

/** Of the processors, by RAPL: all packages together. */
export interface PackageReading {
  readonly kind: 'package';
  readonly at: EpochMillis;
  readonly millijoules: Millijoules;
}

export interface LostReading {
  readonly kind: 'lost';
  readonly at: EpochMillis;
  readonly source: 'nvidia-smi' | 'nvml' | 'plug' | 'rapl';
  readonly reason: string;
}
