import { describe, expect, it } from 'vitest';
import type { Gpu, Telemetry } from '../../src/ports.ts';

/** What every telemetry promises; `make` gives a host with at least `cards` NVIDIA cards. */
export function telemetryContract(name: string, make: () => Telemetry, { cards }: { readonly cards: number }): void {
  describe(`telemetry: ${name}`, () => {
    it('knows the processor and the memory', async () => {
      const { cpu, memory, host } = await make().inventory();
      expect(cpu.name).not.toBe('');
      expect(cpu.cores).toBeGreaterThan(0);
      expect(cpu.threads).toBeGreaterThanOrEqual(cpu.cores);
      expect(memory).toBeGreaterThan(100_000_000);
      expect(host.os).not.toBe('');
    });

    it('gives the same record at every call', async () => {
      const telemetry = make();
      const [one, two] = await Promise.all([telemetry.inventory(), telemetry.inventory()]);
      expect(two).toBe(one);
      expect(await telemetry.inventory()).toBe(one);
    });

    it('lists the NVIDIA cards, each with a UUID and a number of its own', async () => {
      const gpus = await make().gpus();
      expect(gpus).toHaveLength(cards);
      expect(gpus.every(({ vendor, uuid }) => vendor === 'nvidia' && uuid !== null && /^GPU-/.test(uuid))).toBe(true);
      expect(new Set(gpus.map(({ uuid }) => uuid)).size).toBe(cards);
      expect(new Set(gpus.map(({ index }) => index)).size).toBe(cards);
    });

    it('has the same cards in its record', async () => {
      const telemetry = make();
      const { gpus } = await telemetry.inventory();
      const identity = ({ uuid, index, name: model, memory }: Gpu) => ({ uuid, index, model, memory });
      expect(gpus.filter(({ uuid }) => uuid !== null).map(identity)).toEqual((await telemetry.gpus()).map(identity));
    });

    it('gives whole lines to the doctor', async () => {
      const checks = await make().check();
      expect(checks.length).toBeGreaterThan(0);
      expect(
        checks.every(
          (check) => check.name !== '' && check.detail !== '' && ['ok', 'warn', 'fail'].includes(check.status),
        ),
      ).toBe(true);
      expect(checks.filter(({ status, mend }) => status === 'fail' && mend === undefined)).toEqual([]);
    });
  });
}
