import { afterEach, describe, expect, it } from 'vitest';
import { CARD, CardKiln } from '../support/card.ts';

let kiln: CardKiln;
afterEach(() => kiln.close());

const PROMPTS = Array.from({ length: 8 }, (_, at) => `prompt ${at}`).join('\n');
const SLOW = { step_seconds: 0.05 };

describe('a machine with a card', () => {
  it('books each joule of the counter once, and its pictures as measured', async () => {
    kiln = new CardKiln({ watts: 100 }, SLOW);
    const ran = await kiln.run(['run', kiln.write('p.txt', PROMPTS), '--name', 'lit', '--json']);
    expect(ran.code, ran.stderr).toBe(0);
    expect(kiln.rows("SELECT DISTINCT meter, energy_method, gpu FROM entries WHERE kind = 'active'")).toEqual([
      { meter: 'nvml_counter', energy_method: 'measured', gpu: CARD },
    ]);
    // The card draws 100 W whatever it does: a millisecond is 100 mJ.
    for (const { energy, millis } of kiln.rows(
      "SELECT sum(energy_mj) AS energy, max(to_at) - min(from_at) AS millis FROM entries WHERE kind = 'active' GROUP BY batch_id",
    ))
      expect(Math.abs(Number(energy) - 100 * Number(millis))).toBeLessThan(1_000);
    await expectAudited();
  });

  it.each(['image_linked', 'batch_finished'])(
    'has every joule booked once when it is killed at %s and started again',
    async (fault) => {
      kiln = new CardKiln({ watts: 100 }, SLOW);
      const args = ['run', kiln.write('p.txt', PROMPTS), '--name', 'killed', '--json'];
      expect((await kiln.run(args, { KILNWATT_FAULT: fault })).signal).toBe('SIGKILL');
      const again = await kiln.run(args);
      expect(again.code, again.stderr).toBe(0);
      expect(kiln.rows("SELECT count(*) AS n FROM entries WHERE kind = 'active'")).toEqual([{ n: 8 }]);
      expect(kiln.rows("SELECT count(*) > 0 AS was_off FROM stretches WHERE cause = 'off'")).toEqual([{ was_off: 1 }]);
      await expectAudited();
    },
  );

  it('takes what another program burns out of its pictures', async () => {
    kiln = new CardKiln({ watts: 100, processes: [{ pid: 1, share: 0.5 }] }, { step_seconds: 0.15 });
    const ran = await kiln.run(['run', kiln.write('p.txt', PROMPTS), '--name', 'shared', '--json']);
    expect(ran.code, ran.stderr).toBe(0);
    const [booked] = kiln.rows(
      `SELECT (SELECT sum(energy_mj) FROM entries WHERE kind = 'active') AS ours,
         (SELECT sum(energy_mj) FROM stretches WHERE kind = 'foreign' AND cause = 'shared') AS theirs`,
    );
    expect(Number(booked?.theirs)).toBeGreaterThan(0);
    // Both had the card for the same share of its time; the load before has no part of ours to speak of.
    expect(Number(booked?.theirs) / Number(booked?.ours)).toBeGreaterThan(0.8);
    expect(kiln.rows("SELECT DISTINCT energy_method FROM entries WHERE kind = 'active'")).toEqual([
      { energy_method: 'derived' },
    ]);
    await expectAudited();
  });
});

async function expectAudited(): Promise<void> {
  const audited = await kiln.run(['report', '--audit', '--json']);
  expect(audited.code, audited.stdout).toBe(0);
  const [{ counter } = { counter: 0 }] = kiln.rows('SELECT max(counter_mj) - min(counter_mj) AS counter FROM marks');
  expect(Number(counter)).toBeGreaterThan(0);
  expect(audited.stdout).toContain(CARD);
}
