import { afterEach, describe, expect, it } from 'vitest';
import type { RawRow, Reading, Telemetry, Watching } from '../../src/ports.ts';

/**
 * What every telemetry promises of `watch`; `make` gives a host with so many cards, whose readings come within seconds and
 * go on until they are stopped.
 */
export function telemetryWatchContract(
  name: string,
  make: () => Telemetry,
  { cards }: { readonly cards: number },
): void {
  describe(`watched telemetry: ${name}`, () => {
    const watched: Watching[] = [];

    afterEach(async () => {
      await Promise.all(watched.splice(0).map((watching) => watching.stop()));
    });

    const listen = (telemetry: Telemetry) => {
      const heard: Reading[] = [];
      const rows: RawRow[] = [];
      const order: string[] = [];
      const watching = telemetry.watch(
        (reading) => {
          heard.push(reading);
          if (reading.kind === 'power') order.push('reading');
        },
        (row) => {
          rows.push(row);
          order.push('row');
        },
      );
      watched.push(watching);
      const power = () => heard.filter((reading) => reading.kind === 'power');
      return { heard, rows, order, watching, power };
    };

    it('tells the power of each of its cards, in the order of their times', async () => {
      const telemetry = make();
      const { power } = listen(telemetry);
      const uuids = (await telemetry.gpus()).map(({ uuid }) => uuid);
      expect(uuids).toHaveLength(cards);
      const of = (uuid: string | null) => power().filter(({ gpu }) => gpu === uuid);
      await expect.poll(() => uuids.every((uuid) => of(uuid).length > 3)).toBe(true);
      for (const uuid of uuids) {
        const times = of(uuid).map(({ at }) => at);
        expect(times).toEqual(times.toSorted((one, other) => one - other));
      }
      expect(power().filter(({ gpu }) => !uuids.includes(gpu))).toEqual([]);
    });

    it('offers each row before the reading that is made of it', async () => {
      const { order, rows } = listen(make());
      await expect.poll(() => order.length).toBeGreaterThan(6);
      expect(order.slice(0, 4)).toEqual(['row', 'reading', 'row', 'reading']);
      expect(rows[0]?.row.split(',')).toHaveLength(rows[0]?.fields.length ?? 0);
    });

    it('tells all to each who watches, and goes on for one when another leaves', async () => {
      const telemetry = make();
      const [one, other] = [listen(telemetry), listen(telemetry)];
      await expect.poll(() => Math.min(one.power().length, other.power().length)).toBeGreaterThan(1);
      await one.watching.stop();
      const [left, before] = [one.heard.length, other.power().length];
      await expect.poll(() => other.power().length).toBeGreaterThan(before);
      expect(one.heard).toHaveLength(left);
    });

    it('is silent once it is stopped, which may be said twice, and can be watched again', async () => {
      const telemetry = make();
      const { heard, power, watching } = listen(telemetry);
      await expect.poll(() => power().length).toBeGreaterThan(0);
      await Promise.all([watching.stop(), watching.stop()]);
      const left = heard.length;
      const again = listen(telemetry);
      await expect.poll(() => again.power().length).toBeGreaterThan(1);
      expect(heard).toHaveLength(left);
    });
  });
}
