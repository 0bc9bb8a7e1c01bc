import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Millis } from '../../src/units.ts';
import type { Kiln } from '../support/kiln.ts';
import { seeded } from '../support/rng.ts';
import { type Account, accountOf } from './account.ts';
import { type ChaosAsk, controlsFor, driverFor } from './ask.ts';
import { Controls, type Overtaking } from './controls.ts';
import { Deaths } from './deaths.ts';
import type { Driver } from './driver.ts';
import type { Heard } from './ear.ts';
import { gather } from './evidence.ts';
import { type Lateness, latenessOf, promisedParts, type RecoveryFigures, recoveryFigures } from './figures.ts';
import { Lag } from './lag.ts';
import { Ledger } from './ledger.ts';
import { Orchestrator } from './orchestrator.ts';
import { chaosKiln, FLAGS, HANG_LIMIT_MS, outputsOf, socketOf } from './place.ts';
import { PoisonByHand } from './poison.ts';
import { waitedForProcessor } from './processes.ts';
import { FITS, type Planted, plantedForDiffusers, plantedForFake } from './prompts.ts';
import { QueueLook } from './queue-look.ts';
import type { Fate, Moment } from './recovery.ts';
import { scheduleOf } from './schedule.ts';
import { Strikes } from './strikes.ts';
import { Submissions } from './submissions.ts';
import { Watch } from './watch.ts';

export interface ChaosResult extends Account, Lateness {
  readonly kills: Strikes['given'];
  readonly controls: Controls['given'];
  /** Null where no picture was wanted at once. */
  readonly overtaking: Overtaking | null;
  /** Ends of workers and orchestrators that are none of `deaths`. */
  readonly ends_asked_for: number;
  readonly recovery_s: RecoveryFigures;
  readonly seconds: number;
}

const LOOK_EVERY_MS: Millis = 20;
const SAY_EVERY_MS: Millis = 5_000;
/**
 * Nothing was settled for so long: what is left is given up, and is missing in the account. A device in quarantine is
 * tried again after five minutes.
 */
const STALL_MS: Millis = 360_000;
/** Jobs that were hit once and run alone are hit again, so many of them. */
const SUSPECTS = 2;
const OVERDUE_SHARE = 0.04;
/** Jobs: more than a recovery lets others make. */
const OVERDUE_LEAST = 12;
const MOST_UNASKED_ENDS = 10;
/** A job fails for good with so many deaths. */
const DEATHS_OF_POISON = 3;

/**
 * Has kilnwatt make pictures, with real processes, and strikes at them as the schedule of this seed says. The account is
 * drawn up when everything is settled and everybody has left.
 */
export async function wreakHavoc(ask: ChaosAsk): Promise<ChaosResult> {
  const kiln = chaosKiln(ask.engine, `cpu:${ask.workers}`);
  const havoc = new Havoc(ask, kiln);
  try {
    return await havoc.toTheEnd();
  } finally {
    havoc.close();
    await kiln.close();
  }
}

class Havoc {
  readonly #ask: ChaosAsk;
  readonly #kiln: Kiln;
  readonly #planted: Planted;
  readonly #driver: Driver;
  readonly #ledger: Ledger;
  readonly #watch: Watch;
  readonly #queue: QueueLook;
  readonly #lag = new Lag(LOOK_EVERY_MS);
  readonly #deaths = new Deaths();
  readonly #submissions: Submissions;
  readonly #controls: Controls;
  readonly #strikes: Strikes;
  readonly #poison: PoisonByHand;
  readonly #orchestrator: Orchestrator;
  readonly #faults: string[] = [];
  #settled = 0;
  #progressAt: Millis = performance.now();
  #saidAt: Millis = 0;

  constructor(ask: ChaosAsk, kiln: Kiln) {
    const { engine, seed } = ask;
    this.#ask = ask;
    this.#kiln = kiln;
    this.#planted = engine === 'fake' ? plantedForFake(ask) : plantedForDiffusers(ask);
    this.#driver = driverFor(ask, kiln, this.#planted);
    this.#ledger = new Ledger(join(kiln.root, 'ledger.jsonl'));
    this.#watch = new Watch(join(kiln.data, 'kilnwatt.sqlite'));
    this.#queue = new QueueLook(socketOf(kiln));
    this.#submissions = new Submissions(this.#planted, this.#driver, this.#ledger);
    const { poison } = this.#submissions;
    const orchestrator = () => this.#orchestrator.pid;
    this.#controls = new Controls({
      kiln,
      poison,
      orchestrator,
      flags: FLAGS[engine],
      devices: ask.workers,
      ledger: this.#ledger,
      watch: this.#watch,
      rng: seeded(seed + 2),
      workers: () => this.#deaths.workers.length,
    });
    this.#strikes = new Strikes({
      poison,
      orchestrator,
      schedule: scheduleOf({ ...ask, controls: controlsFor(ask) }),
      deaths: this.#deaths,
      dataDir: kiln.data,
      suspects: SUSPECTS,
      overdue: Math.max(OVERDUE_LEAST, ask.jobs * OVERDUE_SHARE),
      controls: this.#controls,
    });
    this.#poison = new PoisonByHand(engine === 'fake' ? new Set() : poison, this.#deaths);
    this.#orchestrator = new Orchestrator({
      driver: this.#driver,
      rng: seeded(seed + 1),
      asked: (pid) => this.#controls.asked(pid),
      onStart: (pid) => {
        this.#deaths.orchestratorStarted(pid);
        this.#strikes.orchestratorStarted(this.#moment());
      },
      onEnd: (end) => this.#deaths.orchestratorEnded(end),
      onHeard: (heard) => this.#hear(heard),
    });
  }

  async toTheEnd(): Promise<ChaosResult> {
    const began = performance.now();
    while (!this.#isOver()) {
      this.#ask.signal?.throwIfAborted();
      await this.#look();
      await pause(LOOK_EVERY_MS);
    }
    await this.#orchestrator.leave();
    return this.#result((performance.now() - began) / 1_000);
  }

  close(): void {
    this.#controls.close();
    this.#queue.close();
    this.#watch.close();
  }

  async #look(): Promise<void> {
    const sample = this.#watch.look();
    const fate = await this.#fate();
    const moment = this.#moment();
    const { at } = moment;
    this.#lag.look(at);
    if (sample.settled !== this.#settled || this.#orchestrator.working === null) this.#progressAt = at;
    this.#settled = sample.settled;
    this.#deaths.look(at);
    this.#controls.look(sample);
    this.#orchestrator.look(at);
    const { working } = this.#orchestrator;
    if (working === null) return;
    this.#submissions.tend(sample.settled, this.#driver, working);
    this.#strikes.look(moment, sample, fate);
    this.#poison.look(at, sample);
    this.#say(at);
  }

  async #fate(): Promise<Fate | null> {
    const { asksFor } = this.#strikes;
    if (asksFor === null) return null;
    const { jobs, since } = asksFor;
    const dispatchable = await this.#queue.dispatchable(jobs, since);
    return { dispatchable, settled: this.#watch.settledOf(jobs) };
  }

  #moment(): Moment {
    const waited = waitedForProcessor(this.#orchestrator.pid ?? 0);
    return { at: performance.now(), now: Date.now(), lag: this.#lag.total, waited };
  }

  #hear({ device, word }: Heard): void {
    if (word !== 'loaded') this.#deaths.hear(device, word);
    if (word === 'loaded' || word === 'begun') this.#strikes.hear(this.#moment(), device, word);
  }

  #isOver(): boolean {
    const { areOver } = this.#submissions;
    const isIdle = this.#controls.isOver && this.#orchestrator.working !== null;
    if (areOver && isIdle && this.#settled >= this.#acknowledged) return true;
    if (this.#orchestrator.faults.length > MOST_UNASKED_ENDS) return true;
    if (performance.now() < this.#progressAt + STALL_MS) return false;
    this.#faults.push(`nothing was settled for ${STALL_MS / 1_000} s`);
    return true;
  }

  get #acknowledged(): number {
    return this.#submissions.acknowledged + this.#controls.acknowledged;
  }

  async #result(seconds: number): Promise<ChaosResult> {
    const { poison, black } = this.#submissions;
    const fits = this.#ask.engine === 'fake' ? FITS : null;
    const account = accountOf({
      poison,
      acknowledged: this.#ledger.ids,
      askedToCancel: this.#ledger.askedToCancel,
      saidToBeCancelled: this.#ledger.saidToBeCancelled,
      evidence: await gather(join(this.#kiln.data, 'kilnwatt.sqlite'), outputsOf(this.#kiln)),
      begun: this.#watch.begun,
      // A worker that has lost its device is stopped like one that is to be replaced.
      deaths: this.#deaths.unasked + this.#planted.losses,
      excuses: { givenUp: this.#controls.givenUp, fits, black },
    });
    const limits = promisedParts(HANG_LIMIT_MS[this.#ask.engine]);
    const lateness = latenessOf(this.#strikes.figures, limits);
    const late = lateness.late.map((sentence) => `late: ${sentence}`);
    const { overtaking, given: controls } = this.#controls;
    return {
      ...account,
      ...lateness,
      faults: [...account.faults, ...late, ...this.#allFaults()],
      kills: this.#strikes.given,
      controls,
      overtaking,
      ends_asked_for: this.#deaths.asked,
      recovery_s: recoveryFigures(this.#strikes.figures, limits),
      seconds: Math.round(seconds),
    };
  }

  #allFaults(): readonly string[] {
    const { left } = this.#strikes;
    const { ofThemselves } = this.#deaths;
    const planted = this.#planted.poison.length * DEATHS_OF_POISON + this.#planted.lethal;
    return [
      ...this.#faults,
      ...this.#orchestrator.faults,
      ...this.#controls.faults,
      ...(left > 0 ? [`${left} strikes of the schedule found nothing to strike`] : []),
      ...(ofThemselves > planted ? [`${ofThemselves} workers died by themselves, and ${planted} were planted to`] : []),
    ];
  }

  #say(at: Millis): void {
    if (at < this.#saidAt + SAY_EVERY_MS) return;
    this.#saidAt = at;
    const { left, given } = this.#strikes;
    const strikes = Object.values(given).reduce((sum, count) => sum + count, 0);
    this.#ask.say(`${this.#settled} of ${this.#acknowledged} jobs settled, ${strikes} strikes given, ${left} to come`);
  }
}
