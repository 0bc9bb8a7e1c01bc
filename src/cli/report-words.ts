import { addedEnergy, type Energy, type EnergySource } from '../cost/report-energy.ts';
import type { Figures } from '../cost/report-figures.ts';
import type { Money } from '../cost/report-money.ts';
import { decimalOf, kwhOf, type Method, type Millijoules } from '../units.ts';
import { significant } from './figures.ts';

/**
 * Figures of a report as people read them: `~` is not measured, "at least" lacks what is unknown, `*` what no rate takes
 * home, and `?` is not known at all.
 */

export function moneyText(money: Money, currency: string): string {
  if (money.nano === null) return '?';
  const figure = `${mark(money.method)}${amountText(money.nano)} ${currency}`;
  return `${money.unknowns > 0 ? 'at least ' : ''}${money.apart > 0 ? '*' : ''}${figure}`;
}

/** Where there is little room: `>` for "at least", and no currency. */
export function shortMoney(money: Money): string {
  if (money.nano === null) return '?';
  return `${money.unknowns > 0 ? '>' : ''}${money.apart > 0 ? '*' : ''}${mark(money.method)}${amountText(money.nano)}`;
}

/** An amount that belongs to a sum, with the sum's marks. */
export function shareText(nano: bigint | null, of: Money, currency: string): string {
  return moneyText({ ...of, nano }, currency);
}

/** Two decimals; three digits that say something for what is smaller than a tenth. */
export function amountText(nano: bigint): string {
  const amount = decimalOf(nano);
  if (amount === 0) return '0.00';
  if (Math.abs(amount) < 0.1) return significant(amount);
  return amount.toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
}

export function energyText(energy: Energy): string {
  if (energy.millijoules === null) return '?';
  return `${energy.unknowns > 0 ? 'at least ' : ''}${mark(energy.method)}${kwhText(energy.millijoules)} kWh`;
}

/** What others burnt; a row of which their part cannot be told makes it "at least", and nothing known at all `?`. */
export function foreignText({ energy }: Pick<Figures, 'energy'>): string {
  const { untold } = addedEnergy(Object.values(energy));
  if (untold > 0 && energy.foreign.entries === 0) return '?';
  return energyText({ ...energy.foreign, unknowns: energy.foreign.unknowns + untold });
}

export function shortEnergy(energy: Energy): string {
  if (energy.millijoules === null) return '?';
  return `${energy.unknowns > 0 ? '>' : ''}${mark(energy.method)}${kwhText(energy.millijoules)}`;
}

export function kwhText(millijoules: Millijoules): string {
  const kwh = kwhOf(millijoules);
  return Math.abs(kwh) >= 100 ? kwh.toLocaleString('en-US', { maximumFractionDigits: 1 }) : significant(kwh);
}

/** Of a picture, which is far from a kilowatt-hour. */
export function joulesText(millijoules: Millijoules, method: Method): string {
  const joules = millijoules / 1000;
  const figure = joules >= 1000 ? joules.toLocaleString('en-US', { maximumFractionDigits: 0 }) : significant(joules);
  return `${mark(method)}${figure} J`;
}

/** Whose energy it is, after a noun: `of the cards and processors, and assumed`. Nothing where there is none. */
export function sourcesText(sources: readonly EnergySource[]): string {
  const metered = sources.filter((source) => source !== 'assumed');
  const whose = metered.length === 0 ? '' : ` of the ${metered.join(' and ')}`;
  if (!sources.includes('assumed')) return whose;
  return metered.length === 0 ? ', assumed' : `${whose}, and assumed`;
}

export function percent(part: number): string {
  return `${(part * 100).toFixed(part < 0.1 ? 1 : 0)} %`;
}

function mark(method: Method): string {
  return method === 'measured' ? '' : '~';
}
