import type { Clock, Device, Failure, Job, Measurement } from '../ports.ts';
import { candidatesFor } from '../preset/candidates.ts';
import { AUTO, PRESETS, type Preset } from '../preset/catalogue.ts';
import { choose } from '../preset/choice.ts';
import { factsOf } from '../preset/combinations.ts';
import { engineOf } from '../preset/engine.ts';
import type { Choice, Footprint } from '../preset/explanation.ts';
import type { Exhausted } from '../preset/question.ts';
import { PERMISSIVE, type Rules } from '../preset/rules.ts';
import { isGuided, shapeOf, sizeOf } from '../preset/shape.ts';
import type { Bytes, EpochMillis, Millis } from '../units.ts';
import type { WorkerMemory } from '../worker/messages.ts';
import { FORGETFUL, LearnedLimits, type LimitKeeper, memoryOf, type Place, placeKey } from './learned-limits.ts';
import { type Figures, type MeasurementKeeper, Measurements, UNMEASURED } from './measurements.ts';
import { Rooms, type RoomsOptions } from './rooms.ts';

export interface Loaded {
  readonly modelHash: string;
  readonly preset: Preset;
}

/** What a choice rests on; what is left out forbids nothing and is forgotten with this process. */
export interface ChoiceParts {
  /** What may be asked for by name, and what `auto` chooses among. */
  readonly presets?: readonly Preset[];
  readonly rules?: Rules;
  /** How many jobs a batch may hold at most, instead of what its preset says. */
  readonly limit?: number;
  /** What did not fit into memory. */
  readonly memory?: LimitKeeper;
  /** What batches took. */
  readonly measurements?: MeasurementKeeper;
  readonly rooms?: Omit<RoomsOptions, 'reserveOf'>;
}

type Refusal = Pick<Failure, 'code' | 'message'>;

interface ChooserOptions extends ChoiceParts {
  readonly clock: Pick<Clock, 'now'>;
  loaded(device: string): Loaded | null;
}

/** For how long a choice holds by itself: memory comes and goes, and limits grow old, without a word. */
const REMEMBERED: Millis = 30_000;
/** By how much room has to change to be news. */
const ROOM_STEP: Bytes = 128 * 1024 ** 2;

/** Knows what was learned on each device, and chooses by it what jobs are made with. */
export class Chooser {
  readonly #options: ChooserOptions;
  readonly #presets: readonly Preset[];
  readonly #rules: Rules;
  readonly #limits: LearnedLimits;
  readonly #measurements: Measurements;
  readonly #rooms: Rooms;
  /** By device, model, engine and shape, or every shape: why a worker would not do it. */
  readonly #refused = new Map<string, Refusal>();
  /** By place: each lane of the batcher asks at every turn, and a batch teaches of its own place alone. */
  readonly #choices = new Map<string, Map<string, Choice | Exhausted>>();
  /** By device, in steps. */
  readonly #roomSeen = new Map<string, string>();
  #since: EpochMillis = 0;

  constructor(options: ChooserOptions) {
    const { presets = PRESETS, rules = PERMISSIVE, memory = FORGETFUL, measurements = UNMEASURED } = options;
    this.#options = options;
    this.#presets = presets;
    this.#rules = rules;
    this.#limits = new LearnedLimits(memory, options.clock);
    this.#measurements = new Measurements(measurements, options.clock);
    this.#rooms = new Rooms({ ...options.rooms, reserveOf: rules.reserveOf });
  }

  knows(preset: string): boolean {
    return preset === AUTO || this.#presets.some(({ name }) => name === preset);
  }

  /** @throws InputError `preset_unknown` */
  choice(job: Job, device: Device, safe: boolean): Choice | Exhausted {
    const now = this.#options.clock.now();
    if (Math.abs(now - this.#since) >= REMEMBERED) this.#forgetAll(now);
    const current = this.#current(job, device);
    const place = placeKey(placeOf(job, device));
    const choices = this.#choices.get(place) ?? new Map<string, Choice | Exhausted>();
    this.#choices.set(place, choices);
    const key = [device.id, job.preset, job.request.steps, job.loraPaths.length > 0, job.loraBytes, safe, current].join(
      ' ',
    );
    const known = choices.get(key);
    if (known !== undefined) return known;
    const choice = this.#choose(job, device, safe, current);
    choices.set(key, choice);
    return choice;
  }

  /** The largest batch with this preset that may still be tried, as what ran out of memory says; null where nothing did. */
  learnedLimit(job: Job, device: Device, preset: Preset): number | null {
    return this.#limits.of(placeOf(job, device)).get(engineOf(preset))?.limit ?? null;
  }

  /** Of batches of this preset and size. */
  measured(job: Job, device: Device, preset: Preset, batch: number): Measurement | undefined {
    const engine = engineOf(preset);
    return this.#measurements.of(placeOf(job, device)).find((one) => one.engine === engine && one.batch === batch);
  }

  /** Whether an engine would take about all of the host's memory that there is for it, or more, as the fit test says. */
  isTight(job: Job, device: Device, preset: Preset): boolean {
    const footprint = this.#footprintOf(job, device, preset, 1);
    const { host } = this.#rooms.of(device);
    return footprint !== null && host !== null && footprint.hostBytes >= TIGHT * host;
  }

  /** @param what the load, or a batch of this many pictures */
  ranOut(job: Job, device: Device, preset: Preset, what: 'load' | number): void {
    this.#limits.ranOut(placeOf(job, device), engineOf(preset), what);
    this.#forgetAll();
  }

  took(job: Job, device: Device, preset: Preset, figures: Omit<Figures, 'engine'>, isCold: boolean): void {
    const place = placeOf(job, device);
    this.#measurements.note(place, { ...figures, engine: engineOf(preset) }, isCold);
    this.#choices.delete(placeKey(place));
  }

  /** @param what was refused: the engine, or with it pictures of this shape */
  refused(job: Job, device: Device, preset: Preset, why: Refusal, what: 'engine' | 'shape'): void {
    this.#refused.set(refusalKey(job, device, preset, what), { code: why.code, message: why.message });
    this.#forgetAll();
  }

  /** Why this was refused before; null where it was not. */
  refusal(job: Job, device: Device, preset: Preset): Refusal | null {
    const of = (what: 'engine' | 'shape') => this.#refused.get(refusalKey(job, device, preset, what));
    return of('engine') ?? of('shape') ?? null;
  }

  /**
   * Keeps what a load of this preset will take of the host from other devices, until the returned function is called or
   * the load is done. An engine that is there already takes no more.
   */
  expect(job: Job, device: Device, preset: Preset): () => void {
    const footprint = this.#footprintOf(job, device, preset, 1);
    if (footprint === null || this.#current(job, device) === engineOf(preset)) return () => {};
    const forget = this.#rooms.expect(device, footprint.hostBytes);
    this.#forgetAll();
    return () => {
      forget();
      this.#forgetAll();
    };
  }

  heard(device: Device, memory: WorkerMemory): void {
    this.#rooms.heard(device, memory);
    this.#seeRoom(device);
  }

  /** The worker of a device has ended. */
  gone(device: Device): void {
    this.#rooms.gone(device);
    this.#seeRoom(device);
  }

  /** Before anything is loaded: how much memory there is now. */
  async look(device: Device): Promise<void> {
    if (this.#options.loaded(device.id) !== null) return;
    await this.#rooms.look(device);
    this.#seeRoom(device);
  }

  #seeRoom(device: Device): void {
    const room = this.#rooms.of(device);
    const seen = [room.device, room.host]
      .map((bytes) => (bytes === null ? '?' : Math.floor(bytes / ROOM_STEP)))
      .join(' ');
    if (this.#roomSeen.get(device.id) === seen) return;
    this.#roomSeen.set(device.id, seen);
    this.#forgetAll();
  }

  #forgetAll(now = this.#options.clock.now()): void {
    this.#choices.clear();
    this.#since = now;
  }

  #current({ request }: Job, device: Device): string | null {
    const loaded = this.#options.loaded(device.id);
    return loaded?.modelHash === request.modelHash ? engineOf(loaded.preset) : null;
  }

  #choose(job: Job, device: Device, safe: boolean, current: string | null): Choice | Exhausted {
    const { request, family, preset: name } = job;
    const place = placeOf(job, device);
    return choose({
      candidates: candidatesFor({ name, device: device.kind, family, safe }, this.#presets),
      auto: name === AUTO,
      steps: request.steps,
      most: this.#options.limit,
      room: this.#rooms.of(device),
      footprintOf: (preset, batch) => this.#footprintOf(job, device, preset, batch),
      ruledOut: (preset) => this.#ruledOut(job, device, preset),
      measured: this.#measurements.of(place),
      fits: this.#limits.of(place),
      current,
      size: sizeOf(request),
      device: device.id,
      kind: device.kind,
    });
  }

  #footprintOf(
    { anatomy, request, loraBytes }: Job,
    { kind: device }: Device,
    preset: Preset,
    batch: number,
  ): Footprint | null {
    if (anatomy === null) return null;
    const shape = { width: request.width, height: request.height, guided: isGuided(request) };
    return this.#rules.footprintOf({ settings: preset.settings, anatomy, shape, batch, device, loraBytes });
  }

  #ruledOut(job: Job, device: Device, preset: Preset): string | null {
    const refused = this.refusal(job, device, preset);
    if (refused !== null) return refused.message;
    const facts = { ...factsOf(job), device: device.kind, loras: job.loraPaths.length > 0 };
    const found = this.#rules.impossible(preset.settings, facts);
    return found?.because ?? (job.anatomy === null && job.preset === AUTO ? this.#tooLarge(device, preset) : null);
  }

  /** Where no fit test can be made, what a preset was made for is all that is known. */
  #tooLarge(device: Device, { memoryGb }: Preset): string | null {
    if (memoryGb === null || (this.#rooms.totalOf(device) ?? 0) >= NEARLY * memoryGb * 1e9) return null;
    return `it is made for ${memoryGb} GB, and what this model takes is not known`;
  }
}

/** Of the host's memory: the fit test is no closer. */
const TIGHT = 0.8;
/** Cards have a little more or less than it says on the box. */
const NEARLY = 0.9;

/** Jobs of a kind are judged alike, but for what is black. */
export function kindOf({ request, preset }: Job): string {
  return `${request.modelHash} ${preset} ${shapeOf(request)}`;
}

function placeOf({ request }: Job, device: Device): Place {
  return { device: memoryOf(device), model: request.modelHash, shape: shapeOf(request) };
}

function refusalKey({ request }: Job, { id }: Device, preset: Preset, what: 'engine' | 'shape'): string {
  return `${id} ${request.modelHash} ${engineOf(preset)} ${what === 'engine' ? '*' : shapeOf(request)}`;
}
