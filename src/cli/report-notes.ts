import type { Config, LoadedConfig } from '../config.ts';
import type { Ours } from '../cost/comparison.ts';
import { monthsAfter } from '../cost/local-days.ts';
import type { Report } from '../cost/report.ts';
import { addedEnergy, type Energy, type EnergySource } from '../cost/report-energy.ts';
import { hostText } from '../cost/wall.ts';
import { nanoOf } from '../units.ts';
import { counted, significant, whole } from './figures.ts';
import { basisNotes } from './report-basis.ts';
import { amountText, energyText, foreignText, moneyText, percent, sourcesText } from './report-words.ts';

/**
 * What whoever reads the figures has to know, in sentences.
 * @param left prices elsewhere that are not shown
 */
export function notesOf(report: Report, loaded: LoadedConfig, left = 0): readonly string[] {
  return [
    ...spreadNotes(report),
    ...idleNotes(report),
    ...foreignNotes(report),
    ...unknownNotes(report),
    ...currencyNotes(report),
    ...wallNotes(report),
    ...carbonNotes(report),
    ...comparisonNotes(report, left),
    ...tagNotes(report),
    ...standingNotes(report, loaded.config),
    ...basisNotes(report, loaded),
  ];
}

function spreadNotes({ total, currency }: Report): readonly string[] {
  const spread = total.perPicture?.spread;
  if (!spread) return [];
  const mark = total.electricity.active.method === 'measured' ? '' : '~';
  const text = (amount: number) => `${mark}${amountText(BigInt(Math.round(amount * 1e9)))}`;
  const range = `from ${text(spread.least)} to ${text(spread.most)} ${currency}`;
  return [
    `A picture's own electricity is ${text(spread.mean)} ${currency} in the mean, ${range}, deviation ${text(spread.deviation)}.`,
  ];
}

function idleNotes({ total }: Report): readonly string[] {
  const { active, overhead, idle } = total.energy;
  if (idle.millijoules === null && idle.entries === 0 && active.entries + overhead.entries > 0)
    return ['No meter follows this host while it waits: its idle is not known, and in no cost.'];
  return total.idlePart === null || total.idlePart === 0
    ? []
    : [`Idle is ${percent(total.idlePart)} of the energy of pictures, overhead and idle.`];
}

function foreignNotes({ total, currency }: Report): readonly string[] {
  const { foreign } = total.energy;
  const all = addedEnergy(Object.values(total.energy));
  const untold = { ...all, millijoules: all.untoldMillijoules, unknowns: 0 };
  return [
    ...(foreign.entries === 0 ? [] : [burntNote(total, currency)]),
    ...(all.untoldMillijoules === 0
      ? []
      : [
          `Whether other programs burnt a part of ${energyText(untold)} cannot be told: under WSL2 and in containers nobody lists them. All of it is booked as ours.`,
        ]),
  ];
}

function burntNote(total: Report['total'], currency: string): string {
  return `Other programs burnt ${foreignText(total)} (${moneyText(total.electricity.foreign, currency)}) on these cards; that is in none of these costs.`;
}

function unknownNotes({ total }: Report): readonly string[] {
  const rows = Object.values(total.energy).reduce((sum, { unknowns }) => sum + unknowns, 0);
  const { unknown } = total.energy;
  return [
    ...(unknown.entries === 0 ? [] : [whoseNote(unknown)]),
    ...(rows > 0 ? [`Of ${whole(rows)} rows the energy is unknown and in no sum: those say "at least", or >.`] : []),
  ];
}

function whoseNote(unknown: Energy): string {
  const when = 'while nobody watched, a meter was silent, or others worked beside ours';
  if (unknown.millijoules === null) return `What was burnt ${when} is not known, and in no cost.`;
  return `${energyText(unknown)} were burnt ${when}: whose it is cannot be told, and it is in no cost.`;
}

function currencyNotes({ total, conversions, currency }: Report): readonly string[] {
  return [
    ...conversions.map(({ currency: from, nano, home, rate, source, date }) => {
      return `${amountText(nano)} ${from} are in it as ${amountText(home)} ${currency}, at ${rate} (${source}, ${date}).`;
    }),
    ...total.apart.map(({ currency: from, nano }) => {
      return `* marks costs that lack ${amountText(nano)} ${from}, and ? those of which nothing else is known: there is no rate; set report: { rates: { ${from}: { rate: 1.1, date: 2026-11-02, source: "ECB" } } }.`;
    }),
  ];
}

function wallNotes({ total: { wall }, sources }: Report): readonly string[] {
  const parts = sources.length === 0 ? 'cards' : sources.map((source) => NAMES[source]).join(', ');
  if (wall !== null) return [`At the wall is (${parts} and host) / ${wall.efficiency}, with ${hostText(wall)}.`];
  const metered = sources.filter((source) => source !== 'assumed');
  // What is assumed says so by itself, and watts are set there for all of the host.
  if (metered.length === 0) return [];
  const what = `${sources.includes('assumed') ? 'What is metered' : 'All energy'} is of the ${metered.join(' and ')} alone`;
  return [
    sources.includes('cards')
      ? `${what}; \`kilnwatt telemetry calibrate\` finds energy.supply_efficiency and host_watts, for what the wall sees.`
      : `${what}; what the supply loses and the rest of the host draws is not in it.`,
  ];
}

const NAMES: Readonly<Record<EnergySource, string>> = {
  cards: 'cards',
  processors: 'processors',
  assumed: 'what is assumed',
};

function carbonNotes({ carbon, sources }: Report): readonly string[] {
  if (carbon === null) return [];
  const how = carbon.unknowns > 0 ? 'At least' : 'About';
  const amount =
    carbon.grams >= 1000
      ? `${(carbon.grams / 1000).toFixed(1)} kg`
      : `${carbon.grams < 100 ? significant(carbon.grams) : carbon.grams.toFixed(0)} g`;
  const each = carbon.perPicture === null ? '' : `, ${significant(carbon.perPicture)} g a picture`;
  const whose = carbon.atWall ? 'at the wall' : `energy${sourcesText(sources)}`;
  const of = `${whose}; ${carbon.source}${carbon.year === null ? '' : ` ${carbon.year}`}`;
  return [`${how} ${amount} of CO2${each} (${of}).`];
}

function comparisonNotes({ comparison, ours, currency }: Report, left: number): readonly string[] {
  if (comparison.length === 0) return [];
  const sources = new Set(comparison.map(({ source, date, weak }) => `${weak ? '~ ' : ''}${source} (${date})`));
  const stranger = comparison.find(({ home }) => home === null);
  return [
    'Elsewhere means the list price of that day for as many pictures, /MP as if each had one megapixel; not that they are as good.',
    ...(comparison.some(({ from }) => from) ? ['Of a price with > the list says "from".'] : []),
    oursNote(ours, currency),
    `Those prices are by ${[...sources].join('; ')}.`,
    ...(left === 0 ? [] : [`${counted(left, 'price')} more: \`kilnwatt report --json\` has all.`]),
    ...(stranger === undefined ? [] : [`Prices in ${stranger.currency} stay so without a rate in report.rates.`]),
  ];
}

function oursNote(ours: Ours | null, currency: string): string {
  if (ours === null) return 'There is no ratio to what is tagged, as idle, fixed charges and hardware carry no tag.';
  const most = ours.atLeast ? '; a ratio with < is at most that' : '';
  return `Ours is electricity with idle, fixed charges and hardware, without what was logged: ${moneyText(ours.money, currency)}${most}.`;
}

/** What costs money by the month is not booked: it is taken from the configuration, for past months too. */
function standingNotes({ total, tags, days, currency }: Report, { report, tariff }: Config): readonly string[] {
  if (Object.keys(tags).length > 0 || total.full.entries === 0) return [];
  const { hardware, rates } = report;
  const monthly = `${amountText(nanoOf(tariff.fixedPerMonth))} ${tariff.currency}`;
  const fixed = tariff.fixedPerMonth === 0 ? [] : [`Fixed charges are those of today, ${monthly} a month.`];
  const none = 'Full cost has no hardware in it';
  if (hardware.length === 0)
    return [...fixed, `${none}; set report: { hardware: [{ price: 1600, bought: 2026-03-01 }] }.`];
  const all = hardware.map((one) => {
    const paid = one.currency ?? tariff.currency;
    const noRate = paid !== currency && rates[paid] === undefined;
    return { ...one, why: notInIt(one, days) ?? (noRate ? `there is no rate for ${paid}` : null) };
  });
  const inIt = all.filter(({ why }) => why === null).map(({ months, bought }) => `${months} months from ${bought}`);
  const left = [...new Set(all.flatMap(({ why }) => (why === null ? [] : [why])))].join('; ');
  if (inIt.length === 0) return [...fixed, `${none}: ${left}.`];
  const without = left === '' ? '' : `, without what is not in it: ${left}`;
  return [...fixed, `Hardware is as configured today, written off evenly over ${inIt.join(' and ')}${without}.`];
}

/** Why nothing of it falls into these days; null: something does. */
function notInIt(
  { price, resale, bought, months }: Config['report']['hardware'][number],
  { first, last }: Report['days'],
): string | null {
  if (price === resale) return 'its price is its resale';
  if (bought > last) return `it was bought later, on ${bought}`;
  return monthsAfter(bought, months) <= first ? `its ${months} months from ${bought} are over` : null;
}

function tagNotes({ tags }: Report): readonly string[] {
  const said = Object.entries(tags).map(([name, value]) => `${name}=${value}`);
  return said.length === 0
    ? []
    : [`Only what is tagged ${said.join(', ')}; idle, fixed charges and hardware carry no tag.`];
}
