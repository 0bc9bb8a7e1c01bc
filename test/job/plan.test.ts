import { describe, expect, it } from 'vitest';
import type { Draft } from '../../src/job/draft.ts';
import { contentKey, type Plan, type PlanOptions, planRun } from '../../src/job/plan.ts';
import type { ResolveOptions } from '../../src/job/resolve.ts';
import type { JobRow, JobState } from '../../src/ports.ts';
import { computing, numbers, rowOf, wantedOf } from './samples.ts';

type Lines = readonly (string | Omit<Draft, 'place'>)[];

/** A run as it would be after every picture of its plans was made. */
class Run {
  rows: JobRow[] = [];
  readonly #randomSeed: () => number;

  constructor(randomSeed: () => number = numbers(1)) {
    this.#randomSeed = randomSeed;
  }

  plan(lines: Lines, more: Partial<PlanOptions> & Partial<Pick<ResolveOptions, 'n' | 'order'>> = {}): Plan {
    const { n = 1, order = 'breadth', ...options } = more;
    const neither = { retryFailed: false, remakeMissing: false, missing: new Set<string>() };
    return planRun(this.rows, wantedOf(lines, { n, order }), { ...neither, randomSeed: this.#randomSeed, ...options });
  }

  make(lines: Lines, more: Partial<Pick<ResolveOptions, 'n' | 'order'>> = {}, state: JobState = 'done'): Plan {
    const plan = this.plan(lines, more);
    this.rows = [...this.rows, ...plan.add.map((added) => rowOf(added, state))];
    return plan;
  }

  seedsOf(prompt: string): number[] {
    return this.rows.filter((row) => row.prompt === prompt).map((row) => row.seed);
  }
}

const shapeOf = (plan: Plan) => ({
  add: plan.add.map(
    ({ index, wanted, seed }) => `${index} ${wanted.request.prompt}${wanted.seed === null ? '' : ` ${seed}`}`,
  ),
  done: plan.done.map((row) => row.index),
  removed: plan.removed.map((row) => row.index),
});

describe('the plan of a run', () => {
  it("counts a new run's pictures from 1 in the order in which they are made", () => {
    const plan = new Run().plan(['a', { prompt: 'b', seed: 7 }], { n: 2 });
    expect(shapeOf(plan)).toEqual({ add: ['1 a', '2 b 7', '3 a', '4 b 8'], done: [], removed: [] });
    expect(plan.order).toEqual([1, 2, 3, 4]);
    expect(new Set(plan.add.map((added) => added.seed)).size).toBe(4);
  });

  it('leaves what is done, adds what is new behind it, and reports what is gone', () => {
    const run = new Run();
    run.make(['a', 'b', 'c']);
    expect(shapeOf(run.plan(['new', 'c', 'a']))).toEqual({ add: ['4 new'], done: [3, 1], removed: [2] });
    expect(shapeOf(run.plan(['a', 'b', 'c']))).toEqual({ add: [], done: [1, 2, 3], removed: [] });
  });

  it('adds the k that are missing when n grows, and keeps the others when it shrinks', () => {
    const run = new Run();
    run.make(['a', 'b'], { n: 2 });
    expect(shapeOf(run.plan(['a', 'b'], { n: 3 }))).toEqual({ add: ['5 a', '6 b'], done: [1, 2, 3, 4], removed: [] });
    expect(shapeOf(run.plan(['a', 'b']))).toEqual({ add: [], done: [1, 2], removed: [3, 4] });
  });

  it('makes a picture anew when its line, or a seed that the line gives, is another', () => {
    const run = new Run();
    run.make([{ prompt: 'a', seed: 5 }, 'b']);
    expect(
      shapeOf(
        run.plan([
          { prompt: 'a', seed: 6 },
          { prompt: 'b', steps: 4 },
        ]),
      ),
    ).toEqual({ add: ['3 a 6', '4 b'], done: [], removed: [1, 2] });
  });

  it('finds the picture of a drawn seed that was written into its line, and of a seed that was struck out', () => {
    const run = new Run();
    run.make(['a', 'a', { prompt: 'b', seed: 5 }]);
    const [first = 0, second = 0] = run.seedsOf('a');
    expect(shapeOf(run.plan([{ prompt: 'a', seed: first }, 'a', 'b']))).toEqual({
      add: [],
      done: [1, 2, 3],
      removed: [],
    });
    expect(shapeOf(run.plan(['a', { prompt: 'a', seed: second }, 'b']))).toEqual({
      add: [],
      done: [1, 2, 3],
      removed: [],
    });
  });

  it('does not take the picture of an unchanged line for a new line that gives the same seed', () => {
    const run = new Run();
    run.make(['a']);
    const [seed = 0] = run.seedsOf('a');
    expect(shapeOf(run.plan([{ prompt: 'a', seed, n: 2 }, 'a']))).toEqual({
      add: [`2 a ${seed}`, `3 a ${seed + 1}`],
      done: [1],
      removed: [],
    });
  });

  it('keeps the drawn seed of a line when an equal line with a seed comes before it or goes', () => {
    const run = new Run();
    run.make(['a']);
    run.make([{ prompt: 'a', seed: 5 }, 'a']);
    expect(run.rows).toHaveLength(2);
    expect(shapeOf(run.plan(['a']))).toEqual({ add: [], done: [1], removed: [2] });
  });

  it('gives the new picture to the line that asks for one more, not to an equal one', () => {
    const run = new Run();
    run.make(['a', { prompt: 'a', n: 2 }]);
    const { add } = run.plan([
      { prompt: 'a', n: 2 },
      { prompt: 'a', n: 2 },
    ]);
    expect(add.map(({ wanted }) => wanted.identity)).toMatchObject([{ occurrence: 0, k: 1 }]);
  });

  it('never gives an index a second time', () => {
    const run = new Run();
    run.make(['a', 'b', 'c']);
    run.rows = run.rows.filter((row) => row.index !== 2);
    expect(shapeOf(run.plan(['a', 'b', 'c'])).add).toEqual(['4 b']);
  });
});

describe('jobs that were not made', () => {
  it.each<JobState>(['interrupted', 'queued', 'running', 'submitting', 'cancelled'])(
    'that are %s are made with their old seed, index and name',
    (state) => {
      const run = new Run();
      run.make(['a', 'b'], {}, state);
      const plan = run.plan(['new', 'a', 'b']);
      expect(plan.requeue.map(({ row, seed }) => [row.index, seed])).toEqual(
        run.rows.map((row) => [row.index, row.seed]),
      );
      expect(plan.order).toEqual([3, 1, 2]);
      expect(plan.done).toEqual([]);
    },
  );

  it('because they failed are tried again only when asked', () => {
    const run = new Run();
    run.make(['a'], {}, 'failed');
    expect(run.plan(['a'])).toMatchObject({ add: [], requeue: [], failed: run.rows, order: [] });
    expect(run.plan(['a'], { retryFailed: true })).toMatchObject({
      requeue: [{ row: { index: 1 } }],
      failed: [],
      order: [1],
    });
  });

  it('or whose picture was thrown away stay away, unless asked', () => {
    const run = new Run();
    run.make(['a', 'b']);
    const missing = new Set([run.rows[0]?.id ?? '']);
    expect(run.plan(['a', 'b'], { missing })).toMatchObject({ requeue: [], done: run.rows });
    const plan = run.plan(['a', 'b'], { missing, remakeMissing: true });
    expect(plan.requeue).toMatchObject([{ row: { index: 1 }, seed: run.rows[0]?.seed }]);
    expect(plan.done).toEqual([run.rows[1]]);
  });
});

describe('the content of an unnamed run', () => {
  const key = (lines: Lines, more: Partial<ResolveOptions> = {}) => contentKey(wantedOf(lines, more));

  it('is the same for the same lines and the same flags', () => {
    expect(key(['a', { prompt: 'b', seed: 1 }])).toBe(key(['a', { prompt: 'b', seed: 1 }]));
    expect(key(['a'], { flags: { steps: 5 } })).toBe(key([{ prompt: 'a', steps: 5 }]));
  });

  it('is another for other lines, seeds, numbers, orders and models', () => {
    const keys = [
      key(['a', 'b']),
      key(['b', 'a']),
      key(['a']),
      key(['a', 'a']),
      key(['a'], { n: 2 }),
      key([{ prompt: 'a', seed: 1 }]),
      key([{ prompt: 'a', seed: 2 }]),
      key(['a', 'b'], { n: 2 }),
      key(['a', 'b'], { n: 2, order: 'depth' }),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('keeps the key that it always had', () => {
    expect(key(['a', { prompt: 'a', seed: 5 }])).toBe(
      '1:4e455985db3806a9dac1967d9c55114105917f3ec745643faec066f37b7cf9b8',
    );
  });
});

describe('editing a file in any way', () => {
  type Line = Omit<Draft, 'place'>;

  function edited(lines: readonly Line[], random: () => number, prompts: number): Line[] {
    const next = [...lines];
    const at = next.length === 0 ? 0 : random() % next.length;
    const line: Line = {
      prompt: `p${random() % prompts}`,
      ...(random() % 4 === 0 ? { seed: random() % 3 } : {}),
      n: 1 + (random() % 3),
    };
    const kind = random() % 3;
    if (kind === 0 || next.length < 3) next.splice(at, 0, line);
    else if (kind === 1) next.splice(at, 1);
    else next.push(...next.splice(at, 1));
    return next;
  }

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('changes no index and no seed of a line that stays (%i)', (start) => {
    const random = numbers(start);
    const run = new Run();
    let lines: Line[] = [];
    const known = new Map<string, string>();
    for (let step = 0; step < 60; step += 1) {
      lines = edited(lines, random, 1_000_000);
      run.make(lines, { order: random() % 2 === 0 ? 'breadth' : 'depth' });
      for (const row of run.rows) {
        const of = `${row.prompt} ${row.k}`;
        expect(known.get(of) ?? `${row.index} ${row.seed}`).toBe(`${row.index} ${row.seed}`);
        known.set(of, `${row.index} ${row.seed}`);
      }
    }
    expect(run.rows.length).toBeGreaterThan(30);
  });

  it.each([11, 12, 13, 14, 15, 16, 17, 18])(
    'answers every line once, and asking again changes nothing, among many equal lines too (%i)',
    (start) => {
      const random = numbers(start);
      // Few seeds, so that drawn ones and given ones are often equal.
      const run = new Run(() => random() % 3);
      let lines: Line[] = [];
      for (let step = 0; step < 80; step += 1) {
        lines = edited(lines, random, 3);
        const wanted = wantedOf(lines);
        const before = run.rows;
        const plan = run.make(lines);
        expect(plan.done.length + plan.add.length).toBe(wanted.length);
        expect(new Set(plan.done).size).toBe(plan.done.length);
        expect(plan.done.length + plan.removed.length).toBe(before.length);
        for (const { wanted: one, seed } of plan.add) if (one.seed !== null) expect(seed).toBe(one.seed);
        expect(new Set(run.rows.map((row) => row.index)).size).toBe(run.rows.length);
        expect(new Set(run.rows.map((row) => `${row.lineKey} ${row.occurrence} ${row.k}`)).size).toBe(run.rows.length);
        const again = run.plan(lines);
        expect(again.add).toEqual([]);
        expect(new Set(again.done)).toEqual(new Set([...plan.done, ...run.rows.slice(before.length)]));
      }
    },
  );

  it('takes at most two seconds of computing for ten thousand lines, equal or not', () => {
    for (const prompt of [(at: number) => `p${at}`, () => 'p', (at: number) => `p${at % 7}`]) {
      const lines = Array.from({ length: 10_000 }, (_, at) => prompt(at));
      const run = new Run();
      run.make(lines);
      const next = lines.toReversed().map((line, at) => ({ prompt: line, ...(at % 3 === 0 ? { seed: at } : {}) }));
      const wanted = wantedOf(next);
      const options = { retryFailed: false, remakeMissing: false, missing: new Set<string>(), randomSeed: () => 1 };
      const took = computing(() => {
        const plan = planRun(run.rows, wanted, options);
        contentKey(wanted);
        expect(plan.done.length + plan.add.length).toBe(10_000);
      });
      expect(took).toBeLessThan(2_000);
    }
  });
});
