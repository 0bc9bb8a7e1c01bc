import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'vitest';
import type { SupervisorState } from '../../src/worker/lifecycle.ts';
import { Call } from './driven-calls.ts';
import { FakeWorker, type Fields } from './fake-worker.ts';
import type { Seeded } from './seeded.ts';
import { superviseFakes } from './supervised.ts';

const JOBS = ['a', 'b', 'c'];
const SECOND = 1_000;
/** The legal moves, as they are documented where the states are. */
const MOVES: Readonly<Record<SupervisorState, readonly SupervisorState[]>> = {
  down: ['waiting', 'starting'],
  waiting: ['down'],
  starting: ['ready', 'stopping', 'down', 'quarantined'],
  ready: ['loading', 'generating', 'stopping', 'down', 'quarantined'],
  loading: ['ready', 'stopping', 'down', 'quarantined'],
  generating: ['ready', 'stopping', 'down', 'quarantined'],
  stopping: ['down', 'quarantined'],
  quarantined: ['down'],
};
const WITHOUT_WORKER: readonly SupervisorState[] = ['down', 'waiting', 'quarantined'];

/** Does to a supervisor whatever chance has it do, and looks after each step whether it is as it must be. */
export class Driver {
  readonly #chance: Seeded;
  readonly #calls: Call[] = [];
  readonly #workers: FakeWorker[] = [];
  readonly #all;
  /** Jobs that the present order still wants answers for. */
  #open = new Set<string>();
  #place = '';
  #looked = 0;

  constructor(chance: Seeded) {
    this.#chance = chance;
    this.#all = superviseFakes({
      breaker: { deaths: 3, probeAfter: 60 * SECOND, probeMost: 240 * SECOND },
      recycle: { pictures: 12, growth: 50 },
      idleUnload: 25 * SECOND,
      startChild: (spec) => {
        const worker = new FakeWorker(spec, { heedsStop: false });
        this.#workers.push(worker);
        return worker.child;
      },
    });
  }

  /** States and outcomes that came about. */
  get seen(): readonly string[] {
    return [...this.#all.states, ...this.#calls.flatMap(({ outcomes }) => outcomes)];
  }

  async step(place: string): Promise<void> {
    this.#place = place;
    const act = this.#chance.pick([
      ...[this.#call, this.#call, this.#call, this.#hearWorker, this.#hearWorker, this.#hearWorker, this.#hearWorker],
      ...[this.#hearWorker, this.#hearWorker, this.#hearWorker, this.#endWorker, this.#abort, this.#letTimePass],
    ]);
    act.call(this);
    await turn();
    this.#look();
  }

  /** Everything comes to its end, and nothing is left over. */
  async end(place: string): Promise<void> {
    this.#place = place;
    const { supervisor, clock } = this.#all;
    for (let round = 0; round < 4; round += 1) {
      for (const call of this.#calls) if (supervisor.state !== 'generating') call.abort();
      const stopped = supervisor.stop();
      this.#workers.at(-1)?.child.exit({ code: 0 });
      await stopped;
      await turn();
    }
    for (const call of this.#calls) await call.checked(place);
    expect(WITHOUT_WORKER, place).toContain(supervisor.state);
    clock.advance(240 * SECOND);
    expect(supervisor, place).toMatchObject({ state: 'down', quarantine: null, engine: null });
    expect(clock.waiting, place).toBe(0);
  }

  #look(): void {
    const { supervisor, states } = this.#all;
    for (; this.#looked < states.length; this.#looked += 1) {
      const move = [states[this.#looked - 1] ?? 'down', states[this.#looked] ?? 'down'] as const;
      expect(MOVES[move[0]], `${this.#place}: ${move.join(' → ')}`).toContain(move[1]);
    }
    const alive = this.#workers.slice(-2).filter(({ child }) => !child.gone);
    expect(alive.length, this.#place).toBe(WITHOUT_WORKER.includes(supervisor.state) ? 0 : 1);
    if (supervisor.state !== 'ready' && !alive.some(({ child }) => !child.stopping)) {
      expect(supervisor.engine, this.#place).toBeNull();
    }
    if (supervisor.quarantine !== null) expect(supervisor.state, this.#place).toBe('quarantined');
    const pending = this.#calls.slice(-20).filter(({ settled }) => settled === 0);
    if (supervisor.state === 'ready' && alive.every(({ child }) => !child.stopping)) {
      expect(pending, this.#place).toEqual([]);
    }
    if (supervisor.state === 'down' || supervisor.state === 'quarantined') expect(pending, this.#place).toEqual([]);
  }

  #call(): void {
    const { supervisor } = this.#all;
    const isLoaded = supervisor.engine !== null;
    if (!this.#chance.isTrue(isLoaded ? 0.8 : 0.1)) {
      this.#calls.push(Call.load(supervisor, this.#chance.pick(['e1', 'e1', 'e1', 'e2'])));
      return;
    }
    const aborted = JOBS.filter(() => this.#chance.isTrue(0.05));
    const isTaken = supervisor.state === 'ready' && isLoaded && aborted.length < JOBS.length;
    this.#calls.push(Call.generate(supervisor, JOBS, aborted));
    if (isTaken) this.#open = new Set(JOBS.filter((job) => !aborted.includes(job)));
  }

  #abort(): void {
    const call = this.#calls.findLast(({ settled }) => settled === 0);
    const what = this.#chance.below(3);
    if (call === undefined || what === 0) void this.#all.supervisor.stop();
    else if (what === 1) call.abort();
    else for (const job of JOBS.filter(() => this.#chance.isTrue(0.4))) call.giveUp(job);
  }

  #letTimePass(): void {
    this.#all.clock.advance(this.#chance.pick([10, SECOND, 10 * SECOND, 26 * SECOND, 100 * SECOND, 3_600 * SECOND]));
  }

  #endWorker(): void {
    const worker = this.#workers.at(-1);
    if (worker === undefined || worker.child.gone) return;
    if (worker.child.stopping || this.#chance.isTrue(0.3)) worker.child.exit({ signal: 'SIGKILL' });
  }

  /** What is in its turn, or now and then something that is not. */
  #hearWorker(): void {
    const worker = this.#workers.at(-1);
    if (worker === undefined || worker.child.gone) return;
    if (this.#chance.isTrue(0.03)) this.#sayNonsense(worker);
    else this.#sayWhatIsDue(worker);
  }

  #sayWhatIsDue(worker: FakeWorker): void {
    const said = { hello: () => worker.hello(), load: () => this.#answerLoad(worker), unload: () => worker.unloaded() };
    const { state } = this.#all.supervisor;
    const order = worker.orders.filter(({ type }) => type !== 'cancel').at(-1)?.type;
    if (state === 'starting') said.hello();
    else if (state === 'loading' && (order === 'load' || order === 'unload')) said[order]();
    else if (state === 'generating') this.#work(worker);
    else worker.say('heartbeat', { phase: 'idle', rss_bytes: 1 });
  }

  #answerLoad(worker: FakeWorker): void {
    const failure = {
      batch: null,
      job: null,
      code: 'bad_request',
      message: 'no such model',
      retryable: false,
      energy: null,
    };
    if (this.#chance.isTrue(0.1)) worker.say('failure', failure);
    else worker.loaded();
  }

  #work(worker: FakeWorker): void {
    const [job] = this.#open;
    const act = this.#chance.below(6);
    if (job === undefined) worker.done(this.#chance.below(200));
    else if (act === 0) worker.progress(this.#chance.pick(['encode', 'compile', 'denoise', 'decode']));
    else if (act === 1) this.#answer(worker, job, () => worker.failure(job, 'black_image'));
    else if (act === 2 && this.#isAborted(job)) this.#answer(worker, job, () => worker.cancelled(job));
    else this.#answer(worker, job, () => worker.image(job), true);
  }

  #answer(worker: FakeWorker, job: string, say: () => void, isPicture = false): void {
    this.#open.delete(job);
    const call = this.#calls.findLast(({ settled, jobs }) => settled === 0 && jobs.length > 0);
    if (isPicture && !worker.child.stopping) call?.pictured.add(job);
    say();
  }

  #isAborted(job: string): boolean {
    const call = this.#calls.findLast(({ settled, jobs }) => settled === 0 && jobs.length > 0);
    return call?.whole.signal.aborted === true || call?.own.get(job)?.signal.aborted === true;
  }

  #sayNonsense(worker: FakeWorker): void {
    const nonsense: readonly (readonly [string, Fields])[] = [
      ['hello', { pid: 1, engine_kind: 'fake', versions: {} }],
      ['unloaded', {}],
      ['image', { batch: 'batch', job: 'nobody', out: '/', width: 1, height: 1, bytes: 1 }],
      ['cancelled', { batch: 'yesterday', jobs: [] }],
      ['nonsense', {}],
    ];
    worker.say(...this.#chance.pick(nonsense));
  }
}
