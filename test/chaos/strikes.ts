import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Millis } from '../../src/units.ts';
import type { Deaths, Worker } from './deaths.ts';
import { isAlive, isCondemned } from './processes.ts';
import { type Fate, type Figure, type Moment, Recovery, type Word } from './recovery.ts';
import { type ControlKind, isStrike, type Strike, type StrikeKind } from './schedule.ts';
import type { Sample } from './watch.ts';

export interface StrikeParts {
  readonly schedule: readonly Strike[];
  readonly deaths: Deaths;
  readonly dataDir: string;
  readonly poison: ReadonlySet<string>;
  /** How many suspects are to be hit while they run alone, besides the schedule. */
  readonly suspects: number;
  /** Pid of the process that works; null while there is none. */
  orchestrator(): number | null;
  /** A strike that is so many settled jobs late does not wait for the recovery before it, or none would be left to meet. */
  readonly overdue: number;
  /** What is no strike but a user's doing. Nothing is struck before it is over. */
  readonly controls: { readonly isOver: boolean; begin(kind: ControlKind): void };
}

/** A recovery is waited for so long, and then the next strike comes all the same: of two workers one may have nothing to do. */
const PATIENCE_MS: Millis = 20_000;
/** A third witnessed death fails a job for good, and rightly: ours must not be the reason. */
const MOST_HITS = 2;
/** Of workers, while nothing is settled: after five a device is left alone for minutes, and rightly. */
const MOST_IN_A_ROW = 2;

/** Does what the schedule says, and measures how each of it is recovered from. */
export class Strikes {
  readonly given: Record<StrikeKind | 'suspect', number> = {
    worker: 0,
    orchestrator: 0,
    redis: 0,
    hang: 0,
    suspect: 0,
  };
  readonly #parts: StrikeParts;
  readonly #figures: Figure[] = [];
  #next = 0;
  #dueAt: Millis | null = null;
  #struckAt: Millis = 0;
  #recovery: Recovery | null = null;
  #isMeasured = false;
  #stopped: number | null = null;
  #settled = 0;
  #inARow = 0;

  constructor(parts: StrikeParts) {
    this.#parts = parts;
  }

  get left(): number {
    return this.#parts.schedule.length - this.#next;
  }

  get figures(): readonly Figure[] {
    return [...this.#figures, ...this.#measured()];
  }

  /** The jobs whose {@link Fate} the next look is to bring. */
  get asksFor(): Recovery['asksFor'] {
    return this.#recovery?.asksFor ?? null;
  }

  hear(moment: Moment, device: string, word: Word): void {
    this.#recovery?.hear(moment, device, word);
  }

  orchestratorStarted(moment: Moment): void {
    if (this.#recovery?.kind === 'orchestrator') this.#recovery.startedAgain(moment);
  }

  look(moment: Moment, sample: Sample, fate: Fate | null): void {
    this.#recovery?.look(moment, sample, fate);
    if (sample.settled !== this.#settled) this.#inARow = 0;
    this.#settled = sample.settled;
    if (this.#stopped !== null && isCondemned(this.#stopped)) {
      this.#recovery?.found(moment);
      this.#stopped = null;
    }
    this.#aimAtSuspect(moment.at, sample);
    const strike = this.#parts.schedule[this.#next];
    if (strike === undefined || sample.settled < strike.after || !this.#parts.controls.isOver) return;
    const isOverdue = sample.settled >= strike.after + this.#parts.overdue;
    if (strike.hurried || isOverdue || this.#isRecovered(moment.at)) this.#attempt(strike, moment, sample);
  }

  #isRecovered(at: Millis): boolean {
    return this.#recovery === null || this.#recovery.isOver || at > this.#struckAt + PATIENCE_MS;
  }

  /** What follows close upon another strike cannot be told from its consequences. */
  #measured(): readonly Figure[] {
    return this.#isMeasured ? (this.#recovery?.figures ?? []) : [];
  }

  #attempt(strike: Strike, moment: Moment, sample: Sample): void {
    const { kind } = strike;
    const give = isStrike(kind) ? this.#aim(kind, strike, moment, sample) : () => this.#begin(kind);
    if (give === null) return;
    this.#dueAt ??= moment.at + strike.delay;
    if (moment.at < this.#dueAt || !give()) return;
    this.#dueAt = null;
    this.#next += 1;
  }

  #begin(kind: ControlKind): true {
    this.#parts.controls.begin(kind);
    return true;
  }

  /** @returns what strikes, and says whether it did; null where there is nothing to strike now */
  #aim(kind: StrikeKind, strike: Strike, moment: Moment, sample: Sample): (() => boolean) | null {
    const pid = kind === 'orchestrator' ? this.#parts.orchestrator() : kind === 'redis' ? this.#redis() : null;
    const worker = kind === 'worker' || kind === 'hang' ? this.#target(kind, strike, moment.at, sample) : null;
    if (worker === null && (pid === null || !isAlive(pid))) return null;
    return () => {
      const given = worker === null ? killed(pid) : this.#kill(worker, kind === 'hang' ? 'SIGSTOP' : 'SIGKILL');
      if (given) this.#struck(kind, moment, sample, strike, worker);
      return given;
    };
  }

  #struck(kind: StrikeKind, moment: Moment, sample: Sample, strike: Strike, worker: Worker | null): void {
    this.#figures.push(...this.#measured());
    const isAlone = this.#isRecovered(moment.at);
    this.#recovery = new Recovery(kind, moment, sample);
    this.#isMeasured = isAlone && !strike.hurried && !(strike.anyMoment && sample.running.size === 0);
    this.#struckAt = moment.at;
    this.given[kind] += 1;
    if (kind === 'worker') this.#inARow += 1;
    if (kind === 'hang') this.#stopped = worker?.pid ?? null;
  }

  #target(kind: 'worker' | 'hang', strike: Strike, at: Millis, sample: Sample): Worker | null {
    const { deaths } = this.#parts;
    const { workers } = deaths;
    // The limits of start and load are minutes, so a hang would not be noticed there.
    const fit = kind === 'hang' ? workers.filter((worker) => deaths.hasBegun(worker, at)) : workers;
    const worker = fit[this.#next % fit.length];
    if (worker === undefined || this.#inARow >= MOST_IN_A_ROW || this.#wouldBeTheLast(sample)) return null;
    return strike.anyMoment || sample.running.size > 0 ? worker : null;
  }

  /** Once hit and blameless, a job runs alone: the second hit must not be laid at its door either. */
  #aimAtSuspect(at: Millis, { running, deaths: counts }: Sample): void {
    const { deaths, poison, suspects } = this.#parts;
    const [worker] = deaths.workers;
    if (this.given.suspect >= suspects || worker === undefined || this.#stopped !== null) return;
    const isHit = [...running.keys()].every((job) => !poison.has(job) && counts.get(job) === 1);
    const isAlone = new Set(running.values()).size === running.size;
    if (running.size === 0 || !isHit || !isAlone || !deaths.hasBegun(worker, at)) return;
    if (this.#kill(worker, 'SIGKILL')) this.given.suspect += 1;
  }

  #wouldBeTheLast({ deaths }: Sample): boolean {
    return [...deaths].some(([job, count]) => !this.#parts.poison.has(job) && count >= MOST_HITS);
  }

  #kill({ pid }: Worker, signal: NodeJS.Signals): boolean {
    if (!isAlive(pid)) return false;
    this.#parts.deaths.struck(pid);
    return killed(pid, signal);
  }

  #redis(): number | null {
    const file = join(this.#parts.dataDir, 'valkey/server.pid');
    return existsSync(file) ? Number(readFileSync(file, 'utf8')) : null;
  }
}

function killed(pid: number | null, signal: NodeJS.Signals = 'SIGKILL'): boolean {
  if (pid === null || !isAlive(pid)) return false;
  process.kill(pid, signal);
  return true;
}
