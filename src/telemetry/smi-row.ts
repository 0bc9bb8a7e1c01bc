import type { PowerReading } from '../ports.ts';
import type { EpochMillis } from '../units.ts';
import { bytesOf, cellsOf, isUuid, numberOf, textOf, type Wishes } from './smi-fields.ts';

/**
 * What the stream asks for. The power of this instant stands beside the mean over a second, since a card may tell one and
 * not the other; those that no reading holds are for whoever looks at a recording.
 */
export const STREAM_WISHES: Wishes<string> = [
  ['timestamp', ['timestamp']],
  ['uuid', ['uuid', 'gpu_uuid']],
  ['index', ['index']],
  ['state', ['pstate']],
  ['instant', ['power.draw.instant']],
  ['average', ['power.draw.average', 'power.draw']],
  ['limit', ['enforced.power.limit', 'power.limit']],
  ['utilization', ['utilization.gpu']],
  ['memory utilization', ['utilization.memory']],
  ['memory used', ['memory.used']],
  ['memory total', ['memory.total']],
  ['temperature', ['temperature.gpu']],
  ['memory temperature', ['temperature.memory']],
  ['fan', ['fan.speed']],
  ['clock', ['clocks.sm', 'clocks.current.sm']],
  ['memory clock', ['clocks.mem', 'clocks.current.memory']],
  ['events', ['clocks_event_reasons.active', 'clocks_throttle_reasons.active']],
];

/**
 * Reads rows of these fields, in any of their spellings. Null for a row that is not whole or names no card: nothing in it
 * is to be trusted then. Within a whole row a cell that is no value is null by itself.
 */
export function rowReader(fields: readonly string[]): (row: string, at: EpochMillis) => PowerReading | null {
  const columns = {
    uuid: columnOf(fields, 'uuid', 'gpu_uuid'),
    instant: columnOf(fields, 'power.draw.instant'),
    average: columnOf(fields, 'power.draw.average', 'power.draw'),
    limit: columnOf(fields, 'enforced.power.limit', 'power.limit'),
    utilization: columnOf(fields, 'utilization.gpu'),
    memoryUsed: columnOf(fields, 'memory.used'),
    memoryTotal: columnOf(fields, 'memory.total'),
    temperature: columnOf(fields, 'temperature.gpu'),
    fan: columnOf(fields, 'fan.speed'),
    clock: columnOf(fields, 'clocks.sm', 'clocks.current.sm'),
    state: columnOf(fields, 'pstate'),
  };
  return (row, at) => {
    const cells = cellsOf(row);
    const cell = (name: keyof typeof columns): string | null => textOf(cells[columns[name]]);
    const gpu = cell('uuid');
    if (cells.length !== fields.length || !isUuid(gpu)) return null;
    const instant = numberOf(cell('instant'));
    return {
      kind: 'power',
      at,
      gpu,
      watts: instant ?? numberOf(cell('average')),
      instant: instant !== null,
      limit: numberOf(cell('limit')),
      utilization: shareOf(cell('utilization')),
      memoryUsed: bytesOf(cell('memoryUsed')),
      memoryTotal: bytesOf(cell('memoryTotal')),
      temperature: numberOf(cell('temperature')),
      fan: shareOf(cell('fan')),
      clock: numberOf(cell('clock')),
      state: stateOf(cell('state')),
    };
  };
}

/** Of the first of these fields; -1, where no cell is, for none. */
function columnOf(fields: readonly string[], ...spellings: readonly string[]): number {
  const field = spellings.find((spelling) => fields.includes(spelling));
  return field === undefined ? -1 : fields.indexOf(field);
}

function shareOf(percent: string | null): number | null {
  const number = numberOf(percent);
  return number === null ? null : number / 100;
}

function stateOf(text: string | null): string | null {
  return text !== null && /^P\d+$/.test(text) ? text : null;
}
