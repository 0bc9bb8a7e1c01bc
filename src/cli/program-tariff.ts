import type { Command } from 'commander';
import type { App } from './app.ts';
import { addPlaces, type PlaceFlags } from './program-places.ts';
import type { TariffShowOptions } from './tariff-show.ts';
import type { TariffTestOptions } from './tariff-test.ts';

type WithApp = (flags: PlaceFlags, use: (app: App) => Promise<number>) => Promise<void>;

/** The commands that say what a kilowatt-hour costs, and when. */
export function addTariff(program: Command, withApp: WithApp): void {
  const tariff = program.command('tariff').summary('show what a kilowatt-hour costs, and when');
  const show = tariff
    .command('show')
    .summary('prices of today and tomorrow, and what they are made of')
    .option('--date <date>', 'that day and the next: 2026-03-29');
  addPlaces(show).action((flags: PlaceFlags & TariffShowOptions) =>
    withApp(flags, async (app) => (await import('./tariff-show.ts')).tariffShow(app, flags)),
  );
  const test = tariff
    .command('test')
    .summary('which zone sets the price at a time and why, or what energy costs over a span')
    .option('--at <time>', 'now, 2026-03-29T14:30 on the clock of the tariff, or with +02:00 or Z')
    .option('--from <time>', 'begin of a span')
    .option('--to <time>', 'end of it')
    .option('--kwh <amount>', 'kilowatt-hours that are burnt, evenly over a span; 1 where that is left out');
  addPlaces(test).action((flags: PlaceFlags & TariffTestOptions) =>
    withApp(flags, async (app) => (await import('./tariff-test.ts')).tariffTest(app, flags)),
  );
}
