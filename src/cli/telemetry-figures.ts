import type { EnergyConfig } from '../config.ts';
import type { TelemetryFigures } from '../cost/meter-figures.ts';
import { atWall, hostText } from '../cost/wall.ts';
import type { Method } from '../units.ts';
import { counted, energy, seconds, significant, whole } from './figures.ts';
import { shortName } from './telemetry-view.ts';

type Card = TelemetryFigures['gpus'][number];

/** Rows for `wrappedColumns`: what each meter told, a block for each card. */
export function rowsOfFigures({ gpus, wall, package: cpu, lost }: TelemetryFigures): readonly (readonly string[])[] {
  return [
    ...gpus.flatMap(rowsOfCard),
    ...(wall === null ? [] : [['at the wall', `${energyOfWall(wall)} in ${seconds(wall.seconds)}`]]),
    ...(cpu === null
      ? []
      : [['CPU', `${joules(cpu.energy_j, 'derived')} in ${seconds(cpu.seconds)}, all programs together`]]),
    ...lost.slice(0, MOST_LOST).map(({ at, reason }) => ['telemetry lost', `${new Date(at).toISOString()}: ${reason}`]),
    ...(lost.length > MOST_LOST ? [['', `and ${counted(lost.length - MOST_LOST, 'more time')}`]] : []),
  ];
}

/**
 * What the host took from the wall while the cards burnt this, where no plug tells and the configuration knows its supply.
 * None where the energy of any card is not known for all of the time.
 */
export function derivedWallRows(figures: TelemetryFigures, known: Known): readonly (readonly string[])[] {
  const { gpus, wall } = figures;
  const whole = gpus.every((card) => card.energy_counter_j !== null || card.missing_seconds === 0);
  if (wall !== null || gpus.length === 0 || !whole) return [];
  const joulesOf = (card: Card) => card.energy_counter_j ?? card.energy_integral_j;
  const sum = gpus.reduce<number | null>((all, card) => added(all, joulesOf(card)), 0);
  if (sum === null || known.supplyEfficiency === null) return [];
  const settings = { efficiency: known.supplyEfficiency, hostWatts: known.hostWatts };
  const taken = atWall(settings, sum * 1000, Math.max(...gpus.map((card) => card.seconds)));
  const how = `derived from energy.supply_efficiency, with ${hostText(settings)}`;
  return [['at the wall', `${joules(taken / 1000, 'derived')}, ${how}`]];
}

type Known = Pick<EnergyConfig, 'supplyEfficiency' | 'hostWatts'>;

function added(one: number | null, other: number | null): number | null {
  return one === null || other === null ? null : one + other;
}

const MOST_LOST = 5;

function rowsOfCard(card: Card): string[][] {
  const { uuid, name, integral_ratio: ratio, ratio_seconds: of, peak_w, idle_w, flags } = card;
  const notes = flags.map((flag) => NOTES[flag]);
  return [
    [name === null ? 'card' : shortName(name), uuid],
    ['  time', timeOf(card)],
    ['  by its counter', countedOf(card)],
    ['  by its power', integralOf(card)],
    ...(ratio === null || of === null
      ? []
      : [['  power / counter', `${ratio.toFixed(3)}, over the ${seconds(of)} for which both are known`]]),
    ['  draw', `${watts(peak_w)} at most, ${idle_w === null ? 'never seen idle' : `${watts(idle_w)} idle`}`],
    ...notes.map((note) => ['  note', note]),
  ];
}

/** With the time, where the counter was read for less of it. */
function countedOf({ energy_counter_j: counted, counter_seconds: of, seconds: all }: Card): string {
  if (counted === null || of === null) return 'not told';
  return `${joules(counted)}${all - of > MOST_UNREAD_SECONDS ? `, in ${seconds(of)} of it` : ''}`;
}

const MOST_UNREAD_SECONDS = 0.5;

const NOTES: Readonly<Record<Card['flags'][number], string>> = {
  counter_fell: 'the counter fell: the driver was loaded anew, and that stretch is the integral of power',
  implausible: 'the counter rose by more than the card can draw, and that stretch is the integral of power',
  unfilled: 'while the counter began anew the power was not sampled throughout: more was burnt than is told here',
  disagrees: 'counter and power are over a tenth apart; energy is booked by the counter',
  mean_power: 'the card tells a mean over a second, which hides what is shorter',
};

function timeOf({ seconds: all, gaps, gap_seconds, missing_seconds }: Card): string {
  if (gaps === 0) return seconds(all);
  const missing = missing_seconds === 0 ? '' : `, ${seconds(missing_seconds)} of it in no integral`;
  return `${seconds(all)}, with ${counted(gaps, 'gap')} (${seconds(gap_seconds)})${missing}`;
}

function integralOf({ energy_integral_j, bound_j, likely_j, coarse }: Card): string {
  if (energy_integral_j === null) return 'not told';
  const off = `right to ${joules(likely_j)} if it went evenly from sample to sample, to ${joules(bound_j)} whatever it did`;
  return `${joules(energy_integral_j, 'derived')}, ${off}${coarse ? ' (coarse)' : ''}`;
}

function energyOfWall({ energy_j, meter }: NonNullable<TelemetryFigures['wall']>): string {
  if (meter === 'none') return '?';
  return `${joules(energy_j)} ${meter === 'plug_counter' ? "by the plug's counter" : "by the plug's power"}`;
}

/** Counter, integral and bound are compared with each other, so that they stay in one unit. */
function joules(value: number | null, method: Method = 'measured'): string {
  if (value === null || value < 10_000 || value >= MOST_JOULES) return energy(value, method);
  return `${method === 'measured' ? '' : '~'}${whole(value)} J`;
}

/** A kilowatt-hour and more reads better as that. */
const MOST_JOULES = 3_600_000;

function watts(value: number | null): string {
  return value === null ? '?' : `${significant(value)} W`;
}
