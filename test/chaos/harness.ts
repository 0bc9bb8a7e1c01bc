import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Millis } from '../../src/units.ts';
import type { Ended, Kiln, Running } from '../support/kiln.ts';
import { type Account, accountOf } from './account.ts';
import { Deaths } from './deaths.ts';
import { type Driver, runDriver, serveDriver } from './driver.ts';
import { Ear } from './ear.ts';
import { gather } from './evidence.ts';
import { lateParts, promisedParts, type RecoveryFigures, recoveryFigures } from './figures.ts';
import { Ledger } from './ledger.ts';
import { chaosKiln, type EngineKind, FLAGS, HANG_LIMIT_MS, outputsOf, scriptOf } from './place.ts';
import { PoisonByHand } from './poison.ts';
import { FITS, type Planted, plantedForDiffusers, plantedForFake } from './prompts.ts';
import { seeded } from './rng.ts';
import { scheduleOf } from './schedule.ts';
import { Strikes } from './strikes.ts';
import { chunksOf, Submissions } from './submissions.ts';
import { Watch } from './watch.ts';

export interface ChaosAsk {
  readonly seed: number;
  readonly jobs: number;
  /** SIGKILLs of worker and orchestrator together. */
  readonly kills: number;
  readonly redisKills: number;
  /** SIGSTOPs of the worker. */
  readonly hangs: number;
  readonly poison: number;
  readonly engine: EngineKind;
  readonly driver: 'serve' | 'run';
  /** Gives up when it is aborted, with its reason. */
  readonly signal?: AbortSignal;
  /** Told now and then how it stands. */
  say(sentence: string): void;
}

export interface ChaosResult extends Account {
  readonly kills: Strikes['given'];
  /** Ends of workers and orchestrators that are none of `deaths`. */
  readonly ends_asked_for: number;
  readonly recovery_s: RecoveryFigures;
  /** Parts of a recovery that took longer than was promised. */
  readonly late: readonly string[];
  readonly seconds: number;
}

const LOOK_EVERY_MS: Millis = 20;
const SAY_EVERY_MS: Millis = 5_000;
/**
 * Nothing was settled for so long: what is left is given up, and is missing in the account. A device in quarantine is
 * tried again after five minutes.
 */
const STALL_MS: Millis = 360_000;
/** Longer than the batch that is under way, and all that has to be closed. */
const LEAVE_MS: Millis = 60_000;
const LONGEST_ABSENCE_MS: Millis = 500;
/** Jobs that were hit once and run alone are hit again, so many of them. */
const SUSPECTS = 2;
const MOST_UNASKED_ENDS = 10;

/**
 * Has kilnwatt make pictures, with real processes, and strikes at them as the schedule of this seed says. The account is
 * drawn up when everything is settled and everybody has left.
 */
export async function wreakHavoc(ask: ChaosAsk): Promise<ChaosResult> {
  const kiln = chaosKiln(ask.engine);
  try {
    return await new Havoc(ask, kiln).toTheEnd();
  } finally {
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
  readonly #deaths = new Deaths();
  readonly #submissions: Submissions;
  readonly #strikes: Strikes;
  readonly #poison: PoisonByHand;
  readonly #rng;
  readonly #faults: string[] = [];
  #working: Running | null = null;
  #ended: Ended | null = null;
  #unasked = 0;
  #settled = 0;
  #progressAt: Millis = performance.now();
  #saidAt: Millis = 0;
  #startAt: Millis = 0;

  constructor(ask: ChaosAsk, kiln: Kiln) {
    const { engine, jobs } = ask;
    this.#ask = ask;
    this.#kiln = kiln;
    this.#planted = engine === 'fake' ? plantedForFake(ask) : plantedForDiffusers(ask);
    this.#driver = driverFor(ask, kiln, this.#planted);
    this.#ledger = new Ledger(join(kiln.root, 'ledger.jsonl'));
    this.#watch = new Watch(join(kiln.data, 'kilnwatt.sqlite'));
    this.#submissions = new Submissions(this.#planted, this.#driver, this.#ledger);
    this.#strikes = new Strikes({
      schedule: scheduleOf({ ...ask, jobs }),
      deaths: this.#deaths,
      dataDir: kiln.data,
      poison: this.#submissions.poison,
      suspects: SUSPECTS,
      orchestrator: () => this.#working?.process.pid ?? null,
    });
    this.#poison = new PoisonByHand(engine === 'fake' ? new Set() : this.#submissions.poison, this.#deaths);
    this.#rng = seeded(ask.seed + 1);
  }

  async toTheEnd(): Promise<ChaosResult> {
    const began = performance.now();
    while (!this.#isOver()) {
      this.#ask.signal?.throwIfAborted();
      this.#look(performance.now());
      await pause(LOOK_EVERY_MS);
    }
    await this.#leave();
    this.#watch.close();
    return this.#result((performance.now() - began) / 1_000);
  }

  #look(at: Millis): void {
    const sample = this.#watch.look();
    if (sample.settled !== this.#settled || this.#working === null) this.#progressAt = at;
    this.#settled = sample.settled;
    this.#deaths.look(at);
    this.#tendOrchestrator(at);
    if (this.#working === null) return;
    this.#submissions.tend(sample.settled, this.#driver, this.#working);
    this.#strikes.look(at, sample);
    this.#poison.look(at, sample);
    this.#say(at);
  }

  /** Starts it again a little after it was killed. */
  #tendOrchestrator(at: Millis): void {
    if (this.#working !== null && this.#ended !== null) {
      if (this.#ended.signal !== 'SIGKILL') this.#complain(this.#ended);
      this.#deaths.orchestratorEnded({ asked: false });
      this.#working = null;
      this.#startAt = at + Math.floor(this.#rng() * LONGEST_ABSENCE_MS);
    }
    if (this.#working === null && at >= this.#startAt) this.#start(at);
  }

  #start(at: Millis): void {
    const working = this.#driver.start();
    this.#working = working;
    this.#ended = null;
    this.#deaths.orchestratorStarted(working.process.pid ?? 0);
    this.#strikes.orchestratorStarted(at);
    const ear = new Ear();
    working.process.stderr?.on('data', (text: string) => this.#hear(ear, text));
    void working.ended.then((ended) => {
      if (this.#working === working) this.#ended = ended;
    });
  }

  #hear(ear: Ear, text: string): void {
    for (const { device, word } of ear.hear(text)) {
      if (word !== 'loaded') this.#deaths.hear(device, word);
      if (word !== 'stopping') this.#strikes.hear(performance.now(), word);
    }
  }

  #complain({ code, signal, stderr }: Ended): void {
    this.#unasked += 1;
    const said = stderr
      .trimEnd()
      .split('\n')
      .filter((line) => !SERVER_LINE.test(line));
    this.#faults.push(`it ended by itself with ${code ?? signal}: ${said.at(-1)}`);
  }

  #isOver(): boolean {
    const { areOver, acknowledged } = this.#submissions;
    if (areOver && this.#settled >= acknowledged && this.#working !== null) return true;
    if (this.#unasked > MOST_UNASKED_ENDS) return true;
    if (performance.now() < this.#progressAt + STALL_MS) return false;
    this.#faults.push(`nothing was settled for ${STALL_MS / 1_000} s`);
    return true;
  }

  /** Nothing of it may be left running when the evidence is gathered. */
  async #leave(): Promise<void> {
    const working = this.#working;
    if (working === null) return;
    const killer = setTimeout(() => working.process.kill('SIGKILL'), LEAVE_MS);
    const well = await this.#driver.finish(working);
    clearTimeout(killer);
    if (!well) this.#complain(await working.ended);
  }

  async #result(seconds: number): Promise<ChaosResult> {
    const account = accountOf({
      acknowledged: this.#ledger.ids,
      poison: this.#submissions.poison,
      evidence: await gather(join(this.#kiln.data, 'kilnwatt.sqlite'), outputsOf(this.#kiln)),
      begun: this.#watch.begun,
      // A worker that has lost its device is stopped like one that is to be replaced.
      deaths: this.#deaths.unasked + this.#planted.losses,
      excuses: { givenUp: new Set(), fits: this.#fits, black: this.#submissions.black },
    });
    // As often as the third death that fails a job for good.
    const planted = this.#planted.poison.length * 3 + this.#planted.lethal;
    if (this.#deaths.ofThemselves > planted)
      this.#faults.push(`${this.#deaths.ofThemselves} workers died by themselves, and ${planted} were planted to`);
    if (this.#strikes.left > 0)
      this.#faults.push(`${this.#strikes.left} strikes of the schedule found nothing to strike`);
    const figures = recoveryFigures(this.#strikes.figures, promisedParts(HANG_LIMIT_MS[this.#ask.engine]));
    return {
      ...account,
      faults: [...account.faults, ...this.#faults],
      kills: this.#strikes.given,
      ends_asked_for: this.#deaths.asked,
      recovery_s: figures,
      late: lateParts(figures),
      seconds: Math.round(seconds),
    };
  }

  get #fits(): number | null {
    return this.#ask.engine === 'fake' ? FITS : null;
  }

  #say(at: Millis): void {
    if (at < this.#saidAt + SAY_EVERY_MS) return;
    this.#saidAt = at;
    const { left, given } = this.#strikes;
    const strikes = Object.values(given).reduce((sum, count) => sum + count, 0);
    this.#ask.say(
      `${this.#settled} of ${this.#submissions.acknowledged} jobs settled, ${strikes} strikes given, ${left} to come`,
    );
  }
}

function driverFor({ engine, driver }: ChaosAsk, kiln: Kiln, planted: Planted): Driver {
  const parts = { kiln, flags: FLAGS[engine], env: scriptOf(kiln, engine) };
  if (driver === 'serve') return serveDriver(parts);
  const [chunk = { name: 'chaos', prompts: [] }] = chunksOf(planted.prompts, 'one');
  return runDriver(parts, chunk);
}

/** What Valkey says while it leaves, and what is said of the bill. */
const SERVER_LINE = /^(\d+:\S+ |~ )/;
