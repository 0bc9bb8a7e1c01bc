#!/usr/bin/env -S node --max-semi-space-size=2 --heap-growing-percent=15
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Interrupts } from './cli/app.ts';
import { EXIT } from './cli/exit.ts';
import { main } from './cli/program.ts';
import { type ConfigSources, loadConfig } from './config.ts';
import { LocalApp } from './main-app.ts';
import { INTERRUPTS } from './process/interrupted.ts';

/** The children die with this process; what was half done is found by the next start. */
function listenForInterrupts(): Interrupts {
  let count = 0;
  let taken = false;
  for (const signal of INTERRUPTS) {
    process.on(signal, () => {
      // A terminal that closes says so more than once.
      if (signal === 'SIGHUP' && count > 0) return;
      count += 1;
      if (taken && count === 1) return;
      process.stderr.write(taken ? 'Stopped now; the same command goes on where it stopped.\n' : 'Interrupted.\n');
      process.exit(EXIT.interrupted);
    });
  }
  return {
    count: () => count,
    take: () => {
      taken = true;
    },
  };
}

const { version } = JSON.parse(await readFile(join(import.meta.dirname, '..', 'package.json'), 'utf8')) as {
  version: string;
};
process.exitCode = await main(process.argv.slice(2), {
  version,
  buildApp: (flags: NonNullable<ConfigSources['flags']>, io) => new LocalApp(loadConfig({ flags }), io, version),
  interrupts: listenForInterrupts(),
});
