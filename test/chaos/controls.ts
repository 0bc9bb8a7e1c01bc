import { setTimeout as rest } from 'node:timers/promises';
import type { Millis } from '../../src/units.ts';
import type { Ended, Kiln } from '../support/kiln.ts';
import { type Rng, shuffled } from '../support/rng.ts';
import { jobId, type Ledger } from './ledger.ts';
import type { ControlKind } from './schedule.ts';
import type { Sample, Watch } from './watch.ts';

export interface ControlParts {
  readonly kiln: Kiln;
  /** Words for the command that submits. */
  readonly flags: readonly string[];
  /** How many devices work at once. */
  readonly devices: number;
  readonly ledger: Ledger;
  readonly watch: Watch;
  readonly poison: ReadonlySet<string>;
  readonly rng: Rng;
  /** Of the process that works; null while there is none. */
  orchestrator(): number | null;
  workers(): number;
}

/** What came of the one picture that was wanted at once. */
export interface Overtaking {
  /** Batches of others that began after it was in the queue, and before its own. */
  readonly batches_before: number;
  /** Jobs that waited longer, and were still waiting when it began. */
  readonly overtaken: number;
}

const LOOK_EVERY_MS: Millis = 20;
/** Longer than a batch with a slow disk, a hang that is found in it, and all that has to be closed. */
const LIMIT_MS: Millis = 60_000;
/** So long nothing moves in a pause. */
const PAUSE_MS: Millis = 700;
const CANCELLED_AT_ONCE = 4;

/** What a user does meanwhile, by the commands that there are for it, and whether it is heeded. One at a time. */
export class Controls {
  readonly given: Record<ControlKind, number> = { restart: 0, pause: 0, pause_now: 0, cancel: 0, interactive: 0 };
  /** A sentence for each that was not heeded. */
  readonly faults: string[] = [];
  /** Batches that were under way when somebody had asked for them to be given up. */
  readonly givenUp = new Set<string>();
  /** Jobs that were acknowledged here. */
  acknowledged = 0;
  overtaking: Overtaking | null = null;
  readonly #parts: ControlParts;
  #sample: Sample = { settled: 0, running: new Map(), deaths: new Map() };
  /** Jobs that the program said are cancelled. */
  readonly #cancelled = new Set<string>();
  #isGivingUp = false;
  #underWay: ControlKind | null = null;
  /** Pid of a process that was asked to leave. */
  #leaving: number | null = null;
  #isClosed = false;

  constructor(parts: ControlParts) {
    this.#parts = parts;
  }

  get isOver(): boolean {
    return this.#underWay === null;
  }

  /** Whether this process was asked to leave. */
  asked(pid: number): boolean {
    return this.#leaving === pid;
  }

  begin(kind: ControlKind): void {
    this.#underWay = kind;
    this.given[kind] += 1;
    void this.#do(kind)
      .catch((error: unknown) => this.faults.push(`${kind}: ${error instanceof Error ? error.message : error}`))
      .finally(() => {
        this.#isGivingUp = false;
        this.#underWay = null;
      });
  }

  /** What is under way is given up. */
  close(): void {
    this.#isClosed = true;
  }

  look(sample: Sample): void {
    this.#sample = sample;
    if (this.#isGivingUp) for (const batch of sample.running.values()) this.givenUp.add(batch);
    for (const job of this.#cancelled) {
      if (!sample.running.has(job)) continue;
      this.#cancelled.delete(job);
      this.faults.push(`cancel: ${job} was begun after it was cancelled`);
    }
  }

  #do(kind: ControlKind): Promise<void> {
    if (kind === 'restart') return this.#restart();
    if (kind === 'cancel') return this.#cancel();
    if (kind === 'interactive') return this.#interactive();
    return this.#pause(kind === 'pause_now');
  }

  async #restart(): Promise<void> {
    const { orchestrator } = this.#parts;
    await this.#until('there is a process to stop', () => orchestrator() !== null);
    this.#leaving = orchestrator();
    if (this.#leaving !== null) process.kill(this.#leaving, 'SIGTERM');
    await this.#until('it has left, and another one is there', () => ![null, this.#leaving].includes(orchestrator()));
    await this.#untilProgress();
  }

  async #pause(now: boolean): Promise<void> {
    this.#isGivingUp = now;
    await this.#command(['pause', ...(now ? ['--now'] : [])]);
    // It is heeded a moment later, so that a batch may still begin; after that nothing is there, and stays so.
    let busyAt = performance.now();
    await this.#until('nothing is made, and the devices are free', () => {
      if (this.#sample.running.size > 0 || this.#parts.workers() > 0) busyAt = performance.now();
      return performance.now() > busyAt + PAUSE_MS;
    });
    this.#isGivingUp = false;
    await this.#command(['resume']);
    await this.#untilProgress();
  }

  /** Of what waits, and one that is being made. */
  async #cancel(): Promise<void> {
    const { ledger, poison, rng, watch } = this.#parts;
    const waiting = shuffled(watch.waiting(), rng);
    const some = [...this.#sample.running.keys()]
      .slice(0, 1)
      .concat(waiting)
      .filter((job) => !poison.has(job));
    const jobs = some.slice(0, CANCELLED_AT_ONCE);
    if (jobs.length === 0) throw new Error('there was nothing to cancel');
    ledger.askToCancel(jobs);
    const { stdout } = await this.#command(['jobs', 'cancel', ...jobs, '--json']);
    const { changed } = JSON.parse(stdout) as { readonly changed: readonly string[] };
    ledger.cancelled(changed);
    for (const job of changed) this.#cancelled.add(job);
  }

  async #interactive(): Promise<void> {
    const { devices, flags, ledger, watch } = this.#parts;
    const words = ['submit', 'a thing wanted at once', '--name', 'urgent', '--priority', 'interactive', '--json'];
    const { stdout } = await this.#command([...words, ...flags]);
    const said = JSON.parse(stdout) as { readonly run: string; readonly jobs: number };
    ledger.acknowledge(said);
    this.acknowledged += said.jobs;
    const job = jobId(said.run, 1);
    await this.#until('the queue has it', () => watch.statesOf([job]).get(job) !== 'submitting');
    const before = new Set(watch.batches);
    const waited = watch.waiting();
    await this.#until('it has begun', () => watch.begun.has(job));
    const own = watch.begun.get(job) ?? new Set();
    const batches = [...watch.batches];
    const first = batches.findIndex((batch) => own.has(batch));
    const others = batches.slice(0, first).filter((batch) => !before.has(batch)).length;
    const states = watch.statesOf(waited);
    const overtaken = waited.filter((other) => other !== job && states.get(other) === 'queued').length;
    this.overtaking = { batches_before: others, overtaken };
    // Each device may have been about to begin with one.
    if (others > devices) this.faults.push(`interactive: ${others} batches of others were begun before it`);
  }

  async #untilProgress(): Promise<void> {
    const { settled } = this.#sample;
    await this.#until('it goes on', () => this.#sample.settled > settled);
  }

  async #command(words: readonly string[]): Promise<Ended> {
    const ended = await this.#parts.kiln.run(words);
    if (ended.code === 0) return ended;
    throw new Error(`kilnwatt ${words[0]} ended with ${ended.code ?? ended.signal}: ${ended.stderr.trim()}`);
  }

  async #until(what: string, holds: () => boolean): Promise<void> {
    const deadline = performance.now() + LIMIT_MS;
    while (!holds()) {
      if (this.#isClosed) throw new Error(`it was not so at the end that ${what}`);
      if (performance.now() > deadline) throw new Error(`it was not so within ${LIMIT_MS / 1_000} s that ${what}`);
      await rest(LOOK_EVERY_MS);
    }
  }
}
