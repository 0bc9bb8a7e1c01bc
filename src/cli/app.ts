import type { LoadedConfig } from '../config.ts';
import type { AppError } from '../errors.ts';
import type {
  Checked,
  Clock,
  ContactSheets,
  Desk,
  Device,
  ImageStore,
  ModelRegistry,
  Notifier,
  Provider,
  Queue,
  Store,
  Telemetry,
} from '../ports.ts';
import type { Bookkeeping } from '../trip.ts';
import type { Bytes, Millis } from '../units.ts';
import type { Io } from './io.ts';

/** Ctrl-C, and the other signals that ask a program to stop. */
export interface Interrupts {
  /** Until this is called an interrupt ends the process at once; afterwards the first one is counted only. */
  take(): void;
  count(): number;
}

/** What `main` hands to the commands. Each part is built when it is first asked for, and stopped by `close` in reverse. */
export interface App {
  readonly loaded: LoadedConfig;
  readonly io: Io;
  readonly clock: Clock;
  /** This process, as the store and the worker know it. */
  readonly launch: string;
  /** Program and version, as pictures name it. */
  readonly software: string;
  /** The words that start this program, up to the name of a command; the first is an absolute path. */
  readonly command: readonly string[];
  readonly models: ModelRegistry;
  readonly images: ImageStore;
  readonly contactSheets: ContactSheets;
  isAlive(launch: string): boolean;
  randomSeed(): number;
  /** Kills the process if this is the fault point that a test asked for. */
  fault(point: string): void;
  store(): Promise<Store>;
  /** True when this process is now the one owner of the data folder; it stays so until `close`. */
  own(): boolean;
  /**
   * The owner's queue starts the embedded server where no other is configured; a client's connects to it.
   * @throws UnavailableError `redis_unavailable`
   */
  queue(role: 'owner' | 'client'): Promise<Queue>;
  /** Where other hosts hand runs in; null where the queue's server is our own, which no other host reaches. */
  desk(): Desk | null;
  /** Something that the work cannot go on without has been lost for good, after it had come up. */
  readonly broken: AppError | null;
  provider(): Promise<Provider>;
  /** Of the cards that the provider works with, from now until `close`; null where it has none. */
  books(): Promise<Bookkeeping | null>;
  /** The host's own meters, with what the configuration names besides. */
  readonly telemetry: Telemetry;
  /** The devices of the configuration, each with its own memory: a card's, or the host's; null where nobody says it. */
  machine(): Promise<readonly { readonly device: Device; readonly memory: Bytes | null }[]>;
  /** As the configuration says; with a command of the user's that is told too. */
  notifier(command: string | null): Notifier;
  /**
   * Whether the disk of the data folder keeps its reserve: database and queue live there.
   * @throws StorageError `disk_full`
   */
  requireRoom(): Promise<void>;
  /** How long a device is not to be used now, by its hours in the configuration; 0 while it may be. */
  restsFor(device: string): Millis;
  /** Everything that `doctor` asks. */
  checked(): Promise<readonly Checked[]>;
  /** May be called twice. */
  close(): Promise<void>;
}
