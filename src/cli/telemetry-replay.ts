import { MeterFigures } from '../cost/meter-figures.ts';
import { isCutShort, metadataOf, readRecording } from '../telemetry/recording.ts';
import type { App } from './app.ts';
import { EXIT } from './exit.ts';
import { widthOf } from './presets.ts';
import { wrappedColumns } from './table.ts';
import { rowsOfFigures } from './telemetry-figures.ts';

/**
 * What a recording comes to, for each card and for the plug.
 * @returns the exit code
 * @throws InputError `bad_recording`
 */
export async function telemetryReplay(
  app: App,
  file: string,
  { json = false }: { readonly json?: boolean },
): Promise<number> {
  const { uuids, names } = await metadataOf(file);
  const meters = new MeterFigures(new Map(uuids.map((uuid, at) => [uuid, names[at] ?? uuid])));
  for await (const reading of readRecording(file)) if (reading.kind !== 'mark') meters.add(reading);
  const { figures } = meters;
  if (await isCutShort(file))
    app.io.err(`! ${file} ends in the middle of a line: it was cut short there, and what came after is not in this.`);
  if (json) app.io.out(JSON.stringify(figures));
  else if (figures.gpus.length === 0 && figures.wall === null && figures.package === null)
    app.io.out(`${file} holds no reading of any meter.`);
  else for (const line of wrappedColumns(rowsOfFigures(figures), widthOf(app))) app.io.out(line);
  return EXIT.done;
}
