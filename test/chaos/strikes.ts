import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Millis } from '../../src/units.ts';
import type { Deaths, Worker } from './deaths.ts';
import { isAlive, isCondemned } from './processes.ts';
import { type Figure, Recovery, type Word } from './recovery.ts';
import type { Strike, StrikeKind } from './schedule.ts';
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
}

/** A recovery is waited for so long, and then the next strike comes all the same. */
const PATIENCE_MS: Millis = 60_000;
/** A third witnessed death fails a job for good, and rightly: ours must not be the reason. */
const MOST_HITS = 2;

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

  constructor(parts: StrikeParts) {
    this.#parts = parts;
  }

  get left(): number {
    return this.#parts.schedule.length - this.#next;
  }

  get figures(): readonly Figure[] {
    return [...this.#figures, ...this.#measured()];
  }

  hear(at: Millis, word: Word): void {
    this.#recovery?.hear(at, word);
  }

  orchestratorStarted(at: Millis): void {
    if (this.#recovery?.kind === 'orchestrator') this.#recovery.startedAgain(at);
  }

  look(at: Millis, sample: Sample): void {
    this.#recovery?.look(at, sample);
    if (this.#stopped !== null && isCondemned(this.#stopped)) {
      this.#recovery?.found(at);
      this.#stopped = null;
    }
    this.#aimAtSuspect(at, sample);
    const strike = this.#parts.schedule[this.#next];
    if (strike === undefined || sample.settled < strike.after) return;
    if (!strike.hurried && !this.#isRecovered(at)) return;
    this.#dueAt ??= at + strike.delay;
    if (at < this.#dueAt || !this.#give(strike.kind, at, sample)) return;
    this.#figures.push(...this.#measured());
    this.#recovery = new Recovery(strike.kind, at, sample);
    this.#isMeasured = !strike.hurried;
    this.#struckAt = at;
    this.#dueAt = null;
    this.#next += 1;
    this.given[strike.kind] += 1;
  }

  #isRecovered(at: Millis): boolean {
    return this.#recovery === null || this.#recovery.isOver || at > this.#struckAt + PATIENCE_MS;
  }

  /** What follows close upon another strike cannot be told from its consequences. */
  #measured(): readonly Figure[] {
    return this.#isMeasured ? (this.#recovery?.figures ?? []) : [];
  }

  /** @returns false where there is nothing to strike now */
  #give(kind: StrikeKind, at: Millis, sample: Sample): boolean {
    if (kind === 'orchestrator') return killed(this.#parts.orchestrator());
    if (kind === 'redis') return killed(this.#redis());
    const { deaths } = this.#parts;
    const [worker] = deaths.workers;
    if (worker === undefined || sample.running.size === 0 || this.#wouldBeTheLast(sample)) return false;
    if (kind === 'worker') return this.#kill(worker);
    // The limits of start and load are minutes.
    if (!deaths.hasBegun(worker, at) || !this.#kill(worker, 'SIGSTOP')) return false;
    this.#stopped = worker.pid;
    return true;
  }

  /** Once hit and blameless, a job runs alone: the second hit must not be laid at its door either. */
  #aimAtSuspect(at: Millis, { running, deaths }: Sample): void {
    const [job] = running.keys();
    const [worker] = this.#parts.deaths.workers;
    if (this.given.suspect >= this.#parts.suspects || running.size !== 1 || job === undefined) return;
    if (worker === undefined || this.#parts.poison.has(job) || deaths.get(job) !== 1 || this.#stopped !== null) return;
    if (this.#parts.deaths.hasBegun(worker, at) && this.#kill(worker)) this.given.suspect += 1;
  }

  #wouldBeTheLast({ deaths }: Sample): boolean {
    return [...deaths].some(([job, count]) => !this.#parts.poison.has(job) && count >= MOST_HITS);
  }

  #kill({ pid }: Worker, signal: NodeJS.Signals = 'SIGKILL'): boolean {
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
