import type { Compared } from '../cost/comparison.ts';
import type { Report } from '../cost/report.ts';
import type { Energy, EnergyByCause } from '../cost/report-energy.ts';
import type { Figures, PerPicture } from '../cost/report-figures.ts';
import type { Money } from '../cost/report-money.ts';
import { decimalOf, kwhOf } from '../units.ts';

/** A report as JSON: amounts are decimals of `currency`, energies kilowatt-hours, what is unknown is null. `apart` counts rows without a rate. */
export function reportJson(report: Report) {
  const { span, timezone, currency, tags, by, entries, total, groups, trend, conversions, comparison, carbon, basis } =
    report;
  return {
    period: { from: new Date(span.from).toISOString(), to: new Date(span.to).toISOString(), timezone },
    currency,
    tags,
    by: by === null ? null : by.kind === 'tag' && by.name !== null ? `tag:${by.name}` : by.kind,
    entries,
    energy_of: report.sources,
    ...figuresJson(total),
    groups: groups.map(({ name, label, figures }) => ({ name, label, ...figuresJson(figures) })),
    trend: trend.map(({ day, days, pictures, work, idle, foreign, unknowns, cost }) => {
      const energy = {
        work_kwh: orNull(work, kwhOf),
        idle_kwh: orNull(idle, kwhOf),
        foreign_kwh: orNull(foreign, kwhOf),
      };
      return { day, days, pictures, ...energy, unknowns, electricity: money(cost) };
    }),
    conversions: conversions.map(({ currency: from, nano, home, rate, date, source }) => {
      return { currency: from, amount: decimalOf(nano), home: decimalOf(home), rate, date, source };
    }),
    comparison: comparison.map(compared),
    compared_with: report.ours && { ...money(report.ours.money), at_least: report.ours.atLeast },
    booked_with: {
      assumed_watts: basis.assumedWatts,
      prices: basis.prices.map(({ currency: of, perKwh, assumed }) => ({ currency: of, per_kwh: perKwh, assumed })),
    },
    carbon: carbon && {
      grams: carbon.grams,
      per_picture: carbon.perPicture,
      at_wall: carbon.atWall,
      unknowns: carbon.unknowns,
      method: carbon.method,
      source: carbon.source,
      year: carbon.year,
    },
  };
}

function figuresJson(figures: Figures) {
  const { pictures, energy, electricity, perPicture, wall, apart } = figures;
  return {
    pictures,
    energy: mapped(energy, energyJson),
    electricity: mapped(electricity, money),
    costs: {
      marginal: money(figures.marginal),
      cash: money(figures.cash),
      full: money(figures.full),
      fixed: money(figures.fixed),
      charges: money(figures.charges),
      credits: money(figures.credits),
      amortisation: money(figures.amortisation),
      without: apart.map(({ currency, nano }) => ({ currency, amount: decimalOf(nano) })),
    },
    per_picture: perPicture && pictureJson(perPicture),
    idle_part: figures.idlePart,
    wall: wall && {
      method: 'derived',
      supply_efficiency: wall.efficiency,
      host_watts: wall.hostWatts,
      kwh: orNull(wall.millijoules, kwhOf),
      unknowns: wall.unknowns,
      energy: mapped(wall.energy, (value) => orNull(value, kwhOf)),
      costs: { marginal: money(wall.marginal), cash: money(wall.cash), full: money(wall.full) },
    },
  };
}

function pictureJson({ spread, marginal, cash, full, perThousand, millijoules }: PerPicture) {
  const costs = mapped({ marginal, cash, full }, (nano) => orNull(nano, decimalOf));
  return {
    joules: orNull(millijoules, (value) => value / 1000),
    ...costs,
    per_thousand: mapped(perThousand, (nano) => orNull(nano, decimalOf)),
    spread,
  };
}

function energyJson({ causes, ...energy }: EnergyByCause) {
  return { ...plainEnergy(energy), causes: mapped(causes, plainEnergy) };
}

function plainEnergy({ millijoules, bound, method, unknowns, entries, seconds, untold, untoldMillijoules }: Energy) {
  const shared = { untold, untold_kwh: kwhOf(untoldMillijoules) };
  return {
    kwh: orNull(millijoules, kwhOf),
    bound_kwh: orNull(bound, kwhOf),
    method,
    unknowns,
    entries,
    seconds,
    ...shared,
  };
}

function money({ nano, method, unknowns, apart }: Money) {
  return { amount: orNull(nano, decimalOf), method, unknowns, apart };
}

function compared({ nano, home, timesIs, ...row }: Compared) {
  return { ...row, times_is: timesIs, amount: decimalOf(nano), home: orNull(home, decimalOf) };
}

function orNull<From, To>(value: From | null, of: (value: From) => To): To | null {
  return value === null ? null : of(value);
}

function mapped<Name extends string, From, To>(
  record: Readonly<Record<Name, From>>,
  of: (value: From) => To,
): Record<Name, To> {
  return Object.fromEntries(Object.entries<From>(record).map(([name, value]) => [name, of(value)])) as Record<Name, To>;
}
