import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { BatchReport } from '../../src/worker/answers.ts';
import type { LoadReport } from '../../src/worker/engine.ts';
import { parseMessage } from '../../src/worker/messages.ts';
import { type FakeWorker, type Fields, type Heard, obliging } from './fake-worker.ts';
import { mutated } from './mutations.ts';
import { Seeded } from './seeded.ts';
import { batchOf, ENGINE, made, superviseFakes } from './supervised.ts';

const SEED = Number(process.env.KW_SEED ?? 20_260_801);
const LINES = 10_000;
const JOBS = ['a', 'b', 'c'];
const STAGES = ['hello', 'loaded', 'batch', 'batch', 'batch', 'batch'] as const;

describe(`${LINES} lines that no worker of ours would write (seed ${SEED})`, () => {
  it('are taken for messages or end their worker, and the next one makes its batch', { timeout: 120_000 }, async () => {
    const chance = new Seeded(SEED);
    const bench = new Bench(chance);
    let condemned = 0;
    for (let number = 0; number < LINES; number += 1) {
      const place = `seed ${SEED}, line ${number}`;
      const sentences = await bench.hear(chance.pick(STAGES), place);
      if (sentences.length > 0) condemned += 1;
      for (const sentence of sentences) {
        expect(sentence.length, place).toBeLessThan(1_200);
        expect(sentence, place).toMatch(/^the worker on cpu .*(broke the protocol: .|no progress|no sign of life)/s);
        expect(sentence, place).not.toContain('hf_secret');
      }
      await bench.makeGoodBatch(place);
    }
    expect(({} as Fields).polluted).toBeUndefined();
    expect(Object.keys(Object.prototype)).toEqual([]);
    expect(condemned).toBeGreaterThan(LINES / 2);
    expect(condemned).toBeLessThan(LINES);
  });
});

it('a setting by the name of a prototype is dropped', () => {
  const line = (settings: string) =>
    `{"v":1,"type":"loaded","launch":"l","seq":1,"engine":"e","settings":${settings},"downgrades":[],"weights":{},"versions":{},"seconds":1,` +
    `"memory":{"peak_allocated_bytes":null,"peak_reserved_bytes":null,"reserved_bytes":null,"peak_device_bytes":null,"device_free_bytes":null,` +
    `"device_total_bytes":null,"rss_bytes":1,"peak_rss_bytes":1,"anonymous_bytes":1},` +
    `"energy":{"millijoules":null,"meter":"none","method":"unknown","flags":[],"bound_mj":null,"window":null}}`;
  for (const settings of ['{"__proto__":"x"}', '{"__proto__":{"polluted":true}}', '{"constructor":"x","toString":1}']) {
    const parsed = parseMessage(line(settings));
    if (!parsed.ok || parsed.message.type !== 'loaded') throw new Error('it is a message');
    expect(Object.getPrototypeOf(parsed.message.settings)).toBe(Object.prototype);
    expect(Object.keys(parsed.message.settings)).not.toContain('__proto__');
  }
  expect(parseMessage(line('{"a":{"b":1}}')).ok).toBe(false);
});

function isReport(outcome: LoadReport | BatchReport): outcome is BatchReport {
  return 'answers' in outcome;
}

/** A supervisor, and workers of which one writes one line wrong whenever it is asked to. */
class Bench {
  readonly #chance: Seeded;
  readonly #all;
  /** How many more messages are written well; null: all. */
  #wellWritten: number | null = null;
  #line = '';
  #engines = 0;

  constructor(chance: Seeded) {
    this.#chance = chance;
    this.#all = superviseFakes(
      {},
      (order, worker) => this.#answer(order, worker),
      (worker) => {
        worker.writes = (message) => this.#write(message);
        worker.hello();
      },
    );
  }

  /** Has one line of this stage written wrong. Returns the sentences of what failed for it. */
  async hear(stage: (typeof STAGES)[number], place: string): Promise<readonly string[]> {
    const { supervisor } = this.#all;
    if (stage === 'hello') await supervisor.stop();
    const isUp = stage === 'batch' && (await this.#settled(supervisor.ensureLoaded(ENGINE), place)) !== undefined;
    this.#wellWritten = isUp ? this.#chance.below(7) : 0;
    this.#engines += 1;
    const engine = { ...ENGINE, id: `e${this.#engines}` };
    const outcome = await this.#settled<LoadReport | BatchReport | null>(
      isUp ? supervisor.generate(batchOf('batch', JOBS)) : supervisor.ensureLoaded(engine),
      place,
    );
    this.#wellWritten = null;
    expect(['ready', 'down'], place).toContain(supervisor.state);
    if (outcome instanceof Error) return [outcome.message];
    if (outcome === null || !isReport(outcome)) return [];
    expect(outcome.answers, place).toHaveLength(JOBS.length);
    return outcome.answers.flatMap((answer) =>
      answer.kind === 'failure' && answer.code === 'worker_died' ? [answer.message] : [],
    );
  }

  async makeGoodBatch(place: string): Promise<void> {
    const { supervisor } = this.#all;
    expect(await this.#settled(supervisor.ensureLoaded(ENGINE), place), place).not.toBeInstanceOf(Error);
    const outcome = await this.#settled(supervisor.generate(batchOf('good', JOBS)), place);
    expect(outcome, `${place}: ${this.#line.slice(0, 300)}`).toMatchObject({ answers: JOBS.map(made) });
  }

  #answer(order: Heard, worker: FakeWorker): void {
    if (order.type !== 'generate' || order.batch === 'good') {
      obliging(order, worker);
      return;
    }
    worker.progress('denoise');
    worker.say('heartbeat', { phase: 'denoise', rss_bytes: 1_000 });
    worker.image('a');
    worker.say('log', { level: 'info', message: 'the second one is dark' });
    worker.failure('b', 'black_image');
    worker.cancelled('c');
    worker.done();
  }

  #write(message: Fields): Buffer | undefined {
    if (this.#wellWritten === null) return undefined;
    this.#wellWritten -= 1;
    if (this.#wellWritten >= 0) return undefined;
    this.#wellWritten = null;
    const line = mutated(message, this.#chance);
    this.#line = line.toString('latin1');
    return line;
  }

  /** What a call came to, an error included; time goes on for one that waits. */
  async #settled<Value>(call: Promise<Value>, place: string): Promise<Value | Error> {
    const { clock, supervisor } = this.#all;
    let outcome: { readonly value: Value | Error } | undefined;
    void call.then(
      (value) => {
        outcome = { value };
      },
      (error: unknown) => {
        outcome = { value: error instanceof Error ? error : new Error(String(error)) };
      },
    );
    for (let turns = 0; outcome === undefined && turns < 20; turns += 1) {
      if (supervisor.state === 'waiting') clock.advance(60_000);
      else if (turns > 3) clock.advance(10 * 60_000);
      await turn();
    }
    if (outcome === undefined) throw new Error(`${place} hangs in ${supervisor.state}: ${this.#line.slice(0, 300)}`);
    return outcome.value;
  }
}
