import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Measurement } from '../ports.ts';
import { integerOf, numberOf, textOf } from './row.ts';

/** What batches took. Writes must be called inside a transaction. */
export class MeasurementTable {
  readonly #all: StatementSync;
  readonly #put: StatementSync;
  readonly #forget: StatementSync;

  constructor(db: DatabaseSync) {
    this.#all = db.prepare('SELECT * FROM measurements');
    this.#put = db.prepare(
      `INSERT OR REPLACE INTO measurements
        VALUES (:device, :model, :engine, :shape, :batch, :stepSeconds, :otherSeconds, :peakBytes, :count, :at)`,
    );
    this.#forget = db.prepare('DELETE FROM measurements WHERE :device IS NULL OR device = :device');
  }

  all(): readonly Measurement[] {
    return this.#all.all().map((row) => ({
      device: textOf(row, 'device'),
      model: textOf(row, 'model'),
      engine: textOf(row, 'engine'),
      shape: textOf(row, 'shape'),
      batch: integerOf(row, 'batch'),
      stepSeconds: numberOf(row, 'step_seconds'),
      otherSeconds: numberOf(row, 'other_seconds'),
      peakBytes: integerOf(row, 'peak_bytes'),
      count: integerOf(row, 'count'),
      at: integerOf(row, 'at'),
    }));
  }

  put(measurement: Measurement): void {
    const { device, model, engine, shape, batch, stepSeconds, otherSeconds, peakBytes, count, at } = measurement;
    this.#put.run({ device, model, engine, shape, batch, stepSeconds, otherSeconds, peakBytes, count, at });
  }

  forget(device: string | null): number {
    return Number(this.#forget.run({ device }).changes);
  }
}
