import { getEventListeners } from 'node:events';
import { expect } from 'vitest';
import { AppError } from '../../src/errors.ts';
import type { BatchReport } from '../../src/worker/answers.ts';
import type { Supervisor } from '../../src/worker/supervisor.ts';
import { batchOf, ENGINE } from './supervised.ts';

const ENOUGH = new Error('enough');
const TOO_LONG = new AppError('the job took too long', { code: 'time_limit' });
const REFUSED = /^(worker_stopped|worker_died|worker_unavailable|device_quarantined|bad_request)$/;
const BUSY = /^Error: the worker on cpu is (waiting|starting|loading|generating|stopping)$/;

/** A call of the supervisor, what may be aborted of it, and how often it was settled. */
export class Call {
  readonly whole = new AbortController();
  readonly own: ReadonlyMap<string, AbortController>;
  /** Jobs whose picture the worker told of while the batch was under way. */
  readonly pictured = new Set<string>();
  readonly jobs: readonly string[];
  settled = 0;
  /** What it came to: answers to items, or the code of the error that it was rejected with. */
  readonly outcomes: string[] = [];
  readonly #outcome: Promise<void>;

  private constructor(
    jobs: readonly string[],
    call: (self: Call) => Promise<unknown>,
    check: (value: unknown) => void,
  ) {
    this.jobs = jobs;
    this.own = new Map(jobs.map((job) => [job, new AbortController()]));
    this.#outcome = call(this)
      .then(check, (error: unknown) => this.#checkRefusal(error))
      .finally(() => {
        this.settled += 1;
      });
    // It is looked at by `checked`.
    this.#outcome.catch(() => {});
  }

  static load(supervisor: Supervisor, engine: string): Call {
    const spec = { ...ENGINE, id: engine };
    return new Call(
      [],
      ({ whole }) => supervisor.ensureLoaded(spec, { signal: whole.signal }),
      () => {},
    );
  }

  /** @param aborted jobs that were given up before */
  static generate(supervisor: Supervisor, jobs: readonly string[], aborted: readonly string[]): Call {
    const start = (call: Call) => {
      for (const job of aborted) call.giveUp(job);
      const givenUp = new Map([...call.own].map(([job, { signal }]) => [job, signal]));
      return supervisor.generate(batchOf('batch', jobs), { signal: call.whole.signal, givenUp });
    };
    const call: Call = new Call(jobs, start, (report) => call.#checkReport(report as BatchReport));
    return call;
  }

  abort(): void {
    this.whole.abort(ENOUGH);
  }

  giveUp(job: string): void {
    this.own.get(job)?.abort(TOO_LONG);
  }

  /** Of a call that is settled: throws what was wrong with its outcome. */
  async checked(place: string): Promise<void> {
    expect(this.settled, place).toBe(1);
    await this.#outcome;
    for (const { signal } of [this.whole, ...this.own.values()]) {
      expect(getEventListeners(signal, 'abort'), place).toEqual([]);
    }
  }

  #checkReport({ answers }: BatchReport): void {
    expect(answers.map(({ job }) => job)).toEqual(this.jobs);
    const made = answers.filter(({ kind }) => kind === 'made').map(({ job }) => job);
    expect(made.toSorted()).toEqual([...this.pictured].toSorted());
    for (const answer of answers) {
      this.outcomes.push(answer.kind === 'made' ? 'made' : answer.code);
      if (answer.kind === 'made') continue;
      expect(answer.code).toMatch(/^(black_image|time_limit|worker_died|worker_stopped)$/);
      expect(answer.message).not.toBe('');
      if (/^worker_/.test(answer.code)) expect(this.own.get(answer.job)?.signal.aborted).toBe(false);
      if (answer.code === 'time_limit') expect(this.own.get(answer.job)?.signal.aborted).toBe(true);
    }
  }

  #checkRefusal(error: unknown): void {
    this.outcomes.push(error instanceof AppError ? error.code : 'rejected');
    if (this.whole.signal.aborted && error === ENOUGH) return;
    if (error instanceof AppError) expect(error.code).toMatch(REFUSED);
    else expect(String(error)).toMatch(BUSY);
  }
}
