import type { Inventory, Telemetry } from '../ports.ts';

/** A host that is what it is told to be; for tests and demonstrations. */
export function fixedTelemetry(inventory: Inventory): Telemetry {
  return {
    inventory: async () => inventory,
    gpus: async () => inventory.gpus.filter((gpu) => gpu.uuid !== null),
    watch: () => ({ stop: async () => {} }),
    check: async () => [
      { name: 'machine', status: 'ok', detail: `${inventory.host.os}; ${inventory.cpu.name} (fixed)` },
    ],
  };
}
