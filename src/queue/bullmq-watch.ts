import type { Clock } from '../ports.ts';
import type { Millis } from '../units.ts';
import type { Ask } from './bullmq-commands.ts';
import { type ActiveJobs, giveBackLocked, giveBackUnlocked, keepLocks } from './bullmq-locks.ts';
import { isReply } from './redis-server.ts';

export interface WatchOptions {
  readonly clock: Clock;
  readonly log: (line: string) => void;
  readonly report: (error: unknown) => void;
  /** Over a connection that the Worker does not use, and whose commands fail while the server is away. */
  readonly ask: Ask;
  readonly limits: WatchLimits;
  readonly watched: Watched;
  readonly silence?: Silence;
  onAway?(away: boolean): void;
  /** At the begin of each look, and part of it: where it fails, the server is asked nothing more. */
  onLook?(): Promise<void>;
}

/** Whoever can do something about a server that takes connections and answers nothing. */
export interface Silence {
  readonly limit: Millis;
  /** Told again after as long again. */
  tell(): void;
}

export interface WatchLimits {
  readonly lock: Millis;
  /** Without an answer for this long, the server counts as away; less than a lock has left at the last answer. */
  readonly away: Millis;
  /** Jobs wait, there is room for them, and none comes: after this long the Worker is replaced. */
  readonly idle: Millis;
}

/** What the watch needs of the worker, and does to it. */
export interface Watched {
  /** Jobs that have arrived here and are not finished, each with the token of its lock. */
  held(): ReadonlyMap<string, string>;
  isOurs(token: string): boolean;
  /** Resolves once all that the server said before is here. */
  roundTrip(): Promise<void>;
  /** Neither full nor told to wait. */
  isHungry(): boolean;
  onLost(jobs: ReadonlyMap<string, string>): void;
  /** The server takes commands. */
  onAnswer(): void;
  replace(): void;
}

const LOOK_MS = 2_000;
/** A worker that was away itself has this long to take its expired locks again. */
const SWEEP_MS = 5_000;
const SILENT_LOOKS = 3;

/** Looks every two seconds whether what the server believes of our jobs is true, and mends what is not. */
export class Watch {
  readonly #options: WatchOptions;
  readonly #lookEvery: Millis;
  #stopped = false;
  #cancelLook = () => {};
  #cancelAway = () => {};
  #away = false;
  /** Looks in a row that heard nothing at all, not even a refusal, and when something was heard last. */
  #silentLooks = 0;
  #heardAt: Millis;
  /** A round trip is under way. */
  #asking = false;
  /** Active jobs without a lock, and since when. */
  #unlocked = new Map<string, Millis>();
  /** Looks in a row at which jobs waited and there was room for them. */
  #hungryLooks = 0;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#heardAt = options.clock.monotonic();
    // A lock is renewed when a quarter of its time is gone, and must be seen in time for that.
    this.#lookEvery = Math.min(LOOK_MS, options.limits.lock / 8);
    this.#awaitAnswer();
    this.#next();
  }

  /** A job came. */
  fed(): void {
    this.#hungryLooks = 0;
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelLook();
    this.#cancelAway();
  }

  #next(): void {
    if (this.#stopped) return;
    this.#cancelLook = this.#options.clock.after(this.#lookEvery, () => {
      this.#look()
        .catch(this.#options.report)
        .finally(() => this.#next());
    });
  }

  async #look(): Promise<void> {
    const { watched } = this.#options;
    const seen = await this.#keepLocks();
    if (this.#stopped) return;
    watched.onLost(seen.lost);
    watched.onAnswer();
    this.#answered();
    this.#findStrays(seen);
    await this.#mendIfIdle(seen.waiting);
    await this.#sweep(seen);
  }

  async #keepLocks(): Promise<ActiveJobs> {
    const { ask, limits, watched, onLook } = this.#options;
    try {
      await onLook?.();
      return await ask((producer) => keepLocks(producer, watched.held(), limits.lock));
    } catch (error) {
      // Nothing can be fetched from a server that is away.
      this.fed();
      if (isReply(error)) this.#heard();
      else this.#heardNothing();
      throw error;
    }
  }

  #heard(): void {
    this.#silentLooks = 0;
    this.#heardAt = this.#options.clock.monotonic();
  }

  /** Time alone says nothing, of which this process may have slept through any amount. */
  #heardNothing(): void {
    const { clock, silence } = this.#options;
    this.#silentLooks += 1;
    if (silence === undefined || this.#silentLooks < SILENT_LOOKS) return;
    if (clock.monotonic() - this.#heardAt < silence.limit) return;
    this.#heard();
    silence.tell();
  }

  /** After the locks were kept: whoever hears that the server is back may rely on what is in hand. */
  #answered(): void {
    this.#heard();
    this.#awaitAnswer();
    if (!this.#away) return;
    this.#away = false;
    this.#options.onAway?.(false);
  }

  #awaitAnswer(): void {
    this.#cancelAway();
    this.#cancelAway = this.#options.clock.after(this.#options.limits.away, () => {
      this.#away = true;
      this.#options.onAway?.(true);
    });
  }

  /**
   * A server that is killed after it has handed a job over and before its answer is out leaves the job under a lock of
   * ours and in nobody's hands: the Worker asks again, and gets the next one. The same becomes of a job whose
   * completion went wrong.
   */
  #findStrays({ tokens }: ActiveJobs): void {
    if (this.#asking) return;
    this.#asking = true;
    const { watched, report } = this.#options;
    const strays = [...tokens].filter(
      (job): job is [string, string] => job[1] !== null && watched.isOurs(job[1]) && !this.#isHeld(job[0], job[1]),
    );
    this.#giveBackStrays(strays)
      .catch(report)
      .finally(() => {
        this.#asking = false;
      });
  }

  async #giveBackStrays(strays: readonly (readonly [string, string])[]): Promise<void> {
    const { ask, log, watched } = this.#options;
    // One whose answer is on its way will have arrived then. Also asked without any stray, because a connection on
    // which nothing is asked is never found dead.
    await watched.roundTrip();
    let found = 0;
    for (const [id, token] of strays) {
      if (this.#stopped || this.#isHeld(id, token)) continue;
      if (await ask((producer) => giveBackLocked(producer, id, token))) found += 1;
    }
    if (found > 0) log(`queue: jobs that had been handed over and never arrived wait again (${found})`);
  }

  #isHeld(id: string, token: string): boolean {
    return this.#options.watched.held().get(id) === token;
  }

  /** Jobs of a worker that is gone: nobody renews their locks any more. */
  async #sweep({ tokens }: ActiveJobs): Promise<void> {
    const { ask, clock, limits, log } = this.#options;
    const now = clock.monotonic();
    const unlocked = [...tokens].filter(([, token]) => token === null).map(([id]) => id);
    this.#unlocked = new Map(unlocked.map((id) => [id, this.#unlocked.get(id) ?? now]));
    for (const [id, since] of this.#unlocked) {
      if (now - since < Math.min(SWEEP_MS, limits.lock)) continue;
      if (await ask((producer) => giveBackUnlocked(producer, id, limits.lock)))
        log(`queue: ${id} waits again, because its worker let the lock expire`);
    }
  }

  /** Looks are counted and not time, of which this process may have slept through any amount. */
  async #mendIfIdle(waiting: number): Promise<void> {
    const { ask, limits, log, watched } = this.#options;
    this.#hungryLooks = waiting > 0 && watched.isHungry() ? this.#hungryLooks + 1 : 0;
    if (this.#hungryLooks * this.#lookEvery < limits.idle) return;
    this.fed();
    if (!(await ask(({ queue }) => queue.isPaused()))) return watched.replace();
    // The queue is ours, and our own pauses are none of the server's: a dashboard has this button.
    await ask(({ queue }) => queue.resume());
    log('queue: another program had paused it; it goes on');
  }
}
