import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { App } from '../../src/cli/app.ts';
import { loadConfig } from '../../src/config.ts';
import type { Store } from '../../src/ports.ts';
import { House } from './house.ts';
import type { KeptIo } from './kept-io.ts';
import { ledgerStore } from './ledger-store.ts';

/** Noon of the last day of November 2026, in Berlin. */
export const NOW = Date.parse('2026-11-30T12:00+01:00');

/** A data folder whose ledger is looked into, at {@link NOW} unless said otherwise. */
export class Office {
  readonly house = new House();
  readonly folder = mkdtempSync(join(tmpdir(), 'kilnwatt-office-'));
  readonly store: Store;

  constructor() {
    this.house.clock.advance(NOW - this.house.clock.now());
    this.store = ledgerStore(this.house.clock);
  }

  /** A command there. @param yaml its configuration, beside prices of Berlin */
  command(yaml = ''): { readonly app: App; readonly io: KeptIo } {
    writeFileSync(join(this.folder, 'kilnwatt.yaml'), `${PRICES}${yaml}`);
    const { app, io } = this.house.command('office');
    const env = { HOME: this.folder, LANG: 'C.UTF-8' };
    const loaded = loadConfig({ cwd: this.folder, env, flags: { data_dir: this.folder } });
    return { app: { ...app, loaded, store: async () => this.store }, io };
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
