import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Queue } from 'bullmq';
import type { Millis } from '../../src/units.ts';
import { TestServer } from '../queue/server.ts';
import { seeded } from '../support/rng.ts';
import { type Account, accountOf } from './account.ts';
import { gatherBare, startsIn } from './bare-evidence.ts';
import { BARE_QUEUE, type BareJob, type BareOptions, bareOptions } from './bare-queue.ts';
import { jobId, Ledger } from './ledger.ts';
import { isAlive } from './processes.ts';
import { plantedForFake } from './prompts.ts';
import { isStrike, type ScheduleAsk, type Strike, type StrikeKind, scheduleOf } from './schedule.ts';

export interface BareAsk extends Omit<ScheduleAsk, 'controls'> {
  readonly poison: number;
  /** With the times of BullMQ's defaults too, not only with its rule for stalled jobs. */
  readonly trueDefaults: boolean;
  /** Gives up when it is aborted, with its reason. */
  readonly signal?: AbortSignal;
  say(sentence: string): void;
}

export interface BareResult extends Account {
  readonly kills: Record<StrikeKind, number>;
  /** Of its worker. */
  readonly bullmq: BareOptions;
  readonly seconds: number;
}

const PROGRAM = join(import.meta.dirname, 'bare-worker-process.ts');
const LOOK_EVERY_MS: Millis = 50;
const SAY_EVERY_MS: Millis = 5_000;
/** Longer than the longest wait for a lock to expire and for the next look at stalled jobs. */
const STALL_MARGIN_MS: Millis = 25_000;
/** Nobody watches: it is as long until a user looks. */
const HANG_MS: Millis = 3_000;
const LONGEST_ABSENCE_MS: Millis = 500;
const RUN = 'bare';

/**
 * The same jobs, poison and strikes against nothing but BullMQ, one process that is worker and orchestrator in one, and
 * Redis with its append-only file. Drawn up like the account of kilnwatt; that it has faults shows that the harness sees them.
 */
export async function wreakHavocOnBareBullmq(ask: BareAsk): Promise<BareResult> {
  const server = new TestServer();
  try {
    await server.start();
    return await new BareHavoc(ask, server).toTheEnd();
  } finally {
    await server.close();
  }
}

class BareHavoc {
  readonly #ask: BareAsk;
  readonly #server: TestServer;
  readonly #folder: string;
  readonly #tally: string;
  readonly #ledger: Ledger;
  readonly #queue: Queue<BareJob>;
  readonly #poison: readonly number[];
  readonly #schedule: readonly Strike[];
  readonly #options: BareOptions;
  readonly #rng;
  readonly #kills: Record<StrikeKind, number> = { worker: 0, orchestrator: 0, redis: 0, hang: 0 };
  #worker: ChildProcess | null = null;
  #deaths = 0;
  #isOver = false;

  constructor(ask: BareAsk, server: TestServer) {
    this.#ask = ask;
    this.#server = server;
    this.#folder = join(server.root, 'outputs');
    this.#tally = join(server.root, 'tally.jsonl');
    this.#ledger = new Ledger(join(server.root, 'ledger.jsonl'));
    this.#queue = new Queue<BareJob>(BARE_QUEUE, { connection: { path: server.socketPath } });
    // A lost connection comes back by itself.
    this.#queue.on('error', () => {});
    this.#poison = plantedForFake(ask).poison;
    this.#schedule = scheduleOf({ ...ask, controls: [] });
    this.#options = bareOptions(ask.trueDefaults);
    this.#rng = seeded(ask.seed + 1);
    mkdirSync(this.#folder);
  }

  async toTheEnd(): Promise<BareResult> {
    const began = performance.now();
    try {
      await this.#submit();
      const striking = this.#strikeAll();
      await this.#untilNothingMoves();
      await striking;
      const seconds = Math.round((performance.now() - began) / 1_000);
      return { ...(await this.#account()), kills: this.#kills, bullmq: this.#options, seconds };
    } finally {
      this.#worker?.removeAllListeners('exit').kill('SIGKILL');
      await this.#queue.close();
    }
  }

  async #submit(): Promise<void> {
    const entries = Array.from({ length: this.#ask.jobs }, (_, at) => ({
      name: 'image',
      data: { seed: at, poisoned: this.#poison.includes(at) },
      opts: { jobId: jobId(RUN, at + 1) },
    }));
    await this.#queue.addBulk(entries);
    this.#ledger.acknowledge({ run: RUN, jobs: entries.length });
    this.#startWorker();
  }

  #startWorker(): void {
    const words = [this.#server.socketPath, this.#folder, this.#tally, JSON.stringify(this.#options)];
    const worker = spawn(process.execPath, [PROGRAM, ...words], { stdio: ['ignore', 'ignore', 'inherit'] });
    this.#worker = worker;
    worker.once('exit', () => {
      this.#deaths += 1;
      setTimeout(() => this.#startWorker(), this.#rng() * LONGEST_ABSENCE_MS);
    });
  }

  async #strikeAll(): Promise<void> {
    for (const { kind, after, delay } of this.#schedule) {
      while (!this.#isOver && ((await this.#settled()) < after || !isAlive(this.#worker?.pid ?? 0)))
        await this.#rest(LOOK_EVERY_MS);
      if (this.#isOver) return;
      if (!isStrike(kind)) continue;
      await this.#rest(delay);
      await this.#strike(kind);
      this.#kills[kind] += 1;
    }
  }

  async #strike(kind: StrikeKind): Promise<void> {
    if (kind === 'redis') {
      await this.#server.kill();
      await this.#rest(this.#rng() * LONGEST_ABSENCE_MS);
      await this.#server.start();
      return;
    }
    if (kind === 'hang') {
      this.#worker?.kill('SIGSTOP');
      await this.#rest(HANG_MS);
    }
    this.#worker?.kill('SIGKILL');
  }

  async #untilNothingMoves(): Promise<void> {
    let settled = -1;
    let movedAt = performance.now();
    let saidAt = 0;
    while (settled < this.#ask.jobs && performance.now() < movedAt + this.#stallLimit) {
      await this.#rest(LOOK_EVERY_MS);
      const now = await this.#settled();
      if (now !== settled) movedAt = performance.now();
      settled = now;
      if (performance.now() < saidAt + SAY_EVERY_MS) continue;
      saidAt = performance.now();
      this.#ask.say(`${settled} of ${this.#ask.jobs} jobs settled, ${this.#deaths} deaths`);
    }
    this.#isOver = true;
  }

  get #stallLimit(): Millis {
    const { lockDuration, stalledInterval } = this.#options;
    return lockDuration + stalledInterval + STALL_MARGIN_MS;
  }

  async #settled(): Promise<number> {
    return this.#queue.getJobCountByTypes('completed', 'failed');
  }

  async #rest(delay: Millis): Promise<void> {
    await pause(delay, undefined, { signal: this.#ask.signal }).catch(() => this.#ask.signal?.throwIfAborted());
  }

  async #account(): Promise<Account> {
    const starts = startsIn(this.#tally);
    return accountOf({
      acknowledged: this.#ledger.ids,
      poison: new Set(this.#poison.map((at) => jobId(RUN, at + 1))),
      evidence: await gatherBare(this.#queue, this.#ledger.ids, this.#folder, starts),
      begun: starts,
      deaths: this.#deaths,
    });
  }
}
