import { execa } from 'execa';
import { StorageError } from '../errors.ts';
import type { ContactSheets } from '../ports.ts';
import { diesWithParent } from '../process/die-with-parent.ts';
import type { Millis } from '../units.ts';

export interface PillowOptions {
  readonly python: string;
  /** The folder that holds the package `kilnwatt_worker`. */
  readonly workerDir: string;
}

/** Some hundred large pictures are read and made small. */
const LIMIT_MS: Millis = 300_000;

/** Drawn by the worker's own environment, in a process of its own. */
export function pillowContactSheets({ python, workerDir }: PillowOptions): ContactSheets {
  return {
    async draw({ path, pictures }) {
      const program = { command: python, args: ['-P', '-m', 'kilnwatt_worker.contact_sheet', path] };
      const { command, args } = diesWithParent(program, python);
      const { exitCode, stderr, shortMessage } = await execa(command, args, {
        env: { PYTHONPATH: workerDir },
        input: JSON.stringify(pictures),
        reject: false,
        timeout: LIMIT_MS,
      });
      if (exitCode === 0) return;
      const sentence = stderr.trim().split('\n').at(-1) || (shortMessage ?? 'no reason given');
      throw new StorageError(`the contact sheet ${path} could not be drawn: ${sentence}`, { code: 'sheet_failed' });
    },
  };
}
