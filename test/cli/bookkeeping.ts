import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { App } from '../../src/cli/app.ts';
import { main } from '../../src/cli/program.ts';
import { loadConfig } from '../../src/config.ts';
import type { Store } from '../../src/ports.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { House } from './house.ts';
import type { KeptIo } from './kept-io.ts';

/** Noon of the last day of November 2026, in Berlin. */
export const NOW = Date.parse('2026-11-30T12:00+01:00');

/** A data folder whose ledger is looked into, at {@link NOW} unless said otherwise. */
export class Office {
  readonly house = new House();
  readonly folder = mkdtempSync(join(tmpdir(), 'kilnwatt-office-'));
  readonly store: Store;

  constructor() {
    this.house.clock.advance(NOW - this.house.clock.now());
    this.store = new MemoryStore(this.house.clock);
  }

  /**
   * The whole command line, as it is typed.
   * @param yaml its configuration, beside prices of Berlin
   */
  async run(
    words: string | readonly string[],
    yaml = '',
    env: Readonly<Record<string, string>> = { LANG: 'C.UTF-8' },
  ): Promise<{ readonly code: number; readonly io: KeptIo }> {
    writeFileSync(join(this.folder, 'kilnwatt.yaml'), `${PRICES}${yaml}`);
    const command = this.house.command('office');
    const { app, io } = command;
    const loaded = loadConfig({
      cwd: this.folder,
      env: { HOME: this.folder, ...env },
      flags: { data_dir: this.folder },
    });
    const buildApp = (): App => ({ ...app, loaded, store: async () => this.store });
    const argv = typeof words === 'string' ? [words] : words;
    return { code: await main(argv, { version: 'test', io, buildApp, interrupts: command }), io };
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  async close(): Promise<void> {
    rmSync(this.folder, { recursive: true });
    await this.house.close();
  }
}

const PRICES = `tariff: { price_per_kwh: 0.30, currency: EUR, timezone: Europe/Berlin }\n`;
