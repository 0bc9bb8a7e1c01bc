import { execa } from 'execa';
import { AppError, StorageError } from '../errors.ts';
import type { ContactSheets } from '../ports.ts';
import { diesWithParent } from '../process/die-with-parent.ts';
import { endOf, type Signals } from '../process/interrupted.ts';
import type { Millis } from '../units.ts';

export interface PillowOptions {
  readonly python: string;
  /** The folder that holds the package `kilnwatt_worker`. */
  readonly workerDir: string;
  readonly signals?: Signals;
}

/** Some hundred large pictures are read and made small. */
const LIMIT_MS: Millis = 300_000;
/** Of `kilnwatt_worker.contact_sheet`: its last line is the reason. */
const REFUSED = 2;

/** Drawn by the worker's own environment, in a process of its own. */
export function pillowContactSheets({ python, workerDir, signals }: PillowOptions): ContactSheets {
  return {
    async draw({ path, pictures }) {
      const program = { command: python, args: ['-P', '-m', 'kilnwatt_worker.contact_sheet', path] };
      const { command, args } = diesWithParent(program, python);
      const drawing = execa(command, args, {
        env: { PYTHONPATH: workerDir },
        input: JSON.stringify(pictures),
        detached: true,
        reject: false,
        timeout: LIMIT_MS,
      });
      const { result, interrupted } = await endOf(drawing, signals);
      if (result.exitCode === 0) return;
      if (interrupted) throw new AppError('drawing the contact sheet was interrupted', { code: 'interrupted' });
      throw sheetFailed(path, result.timedOut ? `it took longer than ${LIMIT_MS / 1000} s` : reasonOf(result));
    },
  };
}

function sheetFailed(path: string, reason: string): StorageError {
  const sentence = `the contact sheet ${path} could not be drawn (${reason}); the same command tries it again, or name another file`;
  return new StorageError(sentence, { code: 'sheet_failed' });
}

function reasonOf({ exitCode, stderr }: { readonly exitCode?: number; readonly stderr: string }): string {
  const last = stderr.trim().split('\n').at(-1) || 'it said nothing';
  return exitCode === REFUSED ? last : `its program failed: ${last}`;
}
