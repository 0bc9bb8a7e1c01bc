import type { Check, LostReading, WallReading } from '../ports.ts';
import { type PlugOptions, watchPlug } from './plug.ts';

/** What the plug answers to one question, for `doctor`. It never makes it fail: nothing needs the plug to work. */
export async function plugCheck(options: PlugOptions): Promise<Check> {
  const { kind } = options.plug;
  const told = Promise.withResolvers<WallReading | LostReading>();
  const watching = watchPlug(options, told.resolve);
  const reading = await told.promise;
  await watching.stop();
  if (reading.kind === 'lost') {
    const mend = 'look at energy.plug_url and energy.plug_kind; without the plug nothing is measured at the wall';
    return { name: 'plug', status: 'warn', detail: reading.reason, mend };
  }
  const { watts, wattHours } = reading;
  const tells = [watts === null ? [] : [`${watts} W now`], wattHours === null ? [] : ['counts energy']].flat();
  return { name: 'plug', status: 'ok', detail: `the plug (${kind}) answers: ${tells.join(', ')}` };
}
