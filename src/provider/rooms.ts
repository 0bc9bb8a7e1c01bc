import { readFileSync } from 'node:fs';
import { freemem, totalmem } from 'node:os';
import type { Device } from '../ports.ts';
import type { Choice } from '../preset/explanation.ts';
import type { Bytes } from '../units.ts';
import type { WorkerMemory } from '../worker/messages.ts';

/** Of a card, as its driver says. */
export interface CardMemory {
  readonly free: Bytes;
  readonly total: Bytes;
}

/** The cards of this machine, by UUID, as they are seen without a worker. */
export interface Cards {
  readonly known: ReadonlyMap<string, CardMemory>;
  /** Reads them anew; what cannot be read is left out. */
  look(): Promise<ReadonlyMap<string, CardMemory>>;
}

export interface RoomsOptions {
  readonly cards?: Cards;
  /** Of the host's memory. */
  readonly host?: () => CardMemory;
  /** Of each card, what a worker may not take although it is free. */
  readonly withheld?: Bytes;
  /** What stays free, instead of what is left by size. */
  readonly reserve?: Bytes | null;
  reserveOf(total: Bytes, device: Device['kind']): Bytes;
}

type Held = Pick<WorkerMemory, 'anonymous_bytes' | 'reserved_bytes'>;

/**
 * How much memory an engine of ours may take: what is free, and what our worker of this device holds already. Workers
 * tell with each load and each batch; what ends gives back what it held. All devices share the host: what one of them is
 * about to load is not there for the others.
 */
export class Rooms {
  readonly #options: RoomsOptions;
  readonly #cards = new Map<string, CardMemory>();
  /** By device. */
  readonly #held = new Map<string, Held>();
  /** By device: what its load is about to take of the host. */
  readonly #expected = new Map<string, Bytes>();

  constructor(options: RoomsOptions) {
    this.#options = options;
    for (const [uuid, memory] of options.cards?.known ?? []) this.#cards.set(uuid, memory);
  }

  of(device: Device): Choice['room'] {
    const host = (this.#options.host ?? hostMemory)();
    const held = this.#held.get(device.id);
    const free = host.free - this.#expectedOfOthers(device);
    const inHost = Math.max(0, Math.min(host.total, free + (held?.anonymous_bytes ?? 0)));
    const { kind, uuid } = device;
    if (kind === 'cpu') return { device: inHost, host: inHost, reserve: this.#reserve(host.total, kind) };
    const card = this.#cards.get(uuid ?? '');
    if (card === undefined) return { device: null, host: inHost, reserve: this.#reserve(0, kind) };
    const { withheld = 0 } = this.#options;
    return {
      device: Math.max(0, card.free + (held?.reserved_bytes ?? 0) - withheld),
      host: inHost,
      // What is withheld stays free already.
      reserve: Math.max(0, this.#reserve(card.total, kind) - withheld),
    };
  }

  /** From here on, until the returned function is called or its worker tells of itself, a device is about to load. */
  expect({ id }: Device, hostBytes: Bytes): () => void {
    this.#expected.set(id, hostBytes);
    return () => this.#expected.delete(id);
  }

  /** All that a device has, whoever holds it; null where it is not known. */
  totalOf({ kind, uuid }: Device): Bytes | null {
    return kind === 'cpu' ? (this.#options.host ?? hostMemory)().total : (this.#cards.get(uuid ?? '')?.total ?? null);
  }

  heard({ id, uuid }: Device, memory: WorkerMemory): void {
    const { device_free_bytes: free, device_total_bytes: total, anonymous_bytes, reserved_bytes } = memory;
    this.#held.set(id, { anonymous_bytes, reserved_bytes });
    this.#expected.delete(id);
    if (uuid !== null && free !== null && total !== null) this.#cards.set(uuid, { free, total });
  }

  /** The worker of a device has ended. */
  gone({ id, uuid }: Device): void {
    const held = this.#held.get(id)?.reserved_bytes ?? 0;
    const card = this.#cards.get(uuid ?? '');
    if (uuid !== null && card !== undefined) this.#cards.set(uuid, { ...card, free: card.free + held });
    this.#held.delete(id);
  }

  /** Before a load on a card that no worker of ours is on: much may have happened there since. */
  async look(device: Device): Promise<void> {
    const { cards } = this.#options;
    if (device.kind === 'cpu' || cards === undefined || this.#held.has(device.id)) return;
    for (const [uuid, memory] of await cards.look()) if (uuid === device.uuid) this.#cards.set(uuid, memory);
  }

  #expectedOfOthers({ id }: Device): Bytes {
    return [...this.#expected].reduce((sum, [device, bytes]) => (device === id ? sum : sum + bytes), 0);
  }

  #reserve(total: Bytes, kind: Device['kind']): Bytes {
    const { reserve, reserveOf } = this.#options;
    return reserve ?? reserveOf(total, kind);
  }
}

/** What programs can have without swapping, caches included; within what a container is given, and has left of that. */
function hostMemory(): CardMemory {
  const total = totalmem();
  const most = process.constrainedMemory();
  if (most === 0 || most >= total) return { free: freemem(), total };
  const left = Math.min(most, process.availableMemory() + cachesOfContainer());
  return { free: Math.min(freemem(), left), total: most };
}

/** Of files that were read and are not in use: they count as used there, and are dropped when the memory is needed. */
function cachesOfContainer(): Bytes {
  try {
    return Number(/^inactive_file (\d+)$/m.exec(readFileSync('/sys/fs/cgroup/memory.stat', 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
