import { momentText } from '../cost/clock-text.ts';
import { DAY_MS } from '../cost/local-time.ts';
import { share } from '../cost/share.ts';
import { priceOf, type Span } from '../cost/tariff.ts';
import { type Part, type ZonedTariff, zonedTariff } from '../cost/tariff-zones.ts';
import { InputError } from '../errors.ts';
import { decimalOf, type EpochMillis, type Millijoules } from '../units.ts';
import type { App } from './app.ts';
import { EXIT } from './exit.ts';
import { money, significant } from './figures.ts';
import { columns } from './table.ts';
import { lengthText, parseMoment, weekdayText } from './tariff-time.ts';
import { composition, perKwh, zoneName, zoneTimes } from './tariff-words.ts';

export interface TariffTestOptions {
  readonly at?: string;
  readonly from?: string;
  readonly to?: string;
  readonly kwh?: string;
  readonly json?: boolean;
}

/**
 * Which zone sets the price at a time and why, or what energy costs that is burnt evenly from one time to another.
 * @throws InputError `bad_flag`
 */
export function tariffTest(
  { loaded, io, clock }: Pick<App, 'loaded' | 'io' | 'clock'>,
  options: TariffTestOptions,
): number {
  const tariff = zonedTariff(loaded.config.tariff);
  const { span, notes } = spanOf(options, tariff, clock.now());
  const energy = energyOf(options.kwh);
  if (options.json === true) {
    io.out(
      JSON.stringify({
        tariff: tariff.id,
        timezone: tariff.clock.timezone,
        notes,
        ...answerJson(tariff, span, energy),
      }),
    );
    return EXIT.done;
  }
  for (const note of notes) io.err(`! ${note}`);
  const lines =
    span.from === span.to
      ? momentLines(tariff, span.from, energy, loaded.config.utf8)
      : spanLines(tariff, span, energy ?? ONE_KWH);
  for (const line of lines) io.out(line);
  return EXIT.done;
}

const ONE_KWH: Millijoules = 3_600_000_000;
const MOST_KWH = 1_000_000;
const MOST_DAYS = 366;

/** Of no length for one moment. */
function spanOf(
  { at, from, to }: TariffTestOptions,
  { clock }: ZonedTariff,
  now: EpochMillis,
): { readonly span: Span; readonly notes: readonly string[] } {
  if (at !== undefined && (from !== undefined || to !== undefined))
    throw refused('is one moment; leave it out beside --from and --to', '--at');
  if (at === undefined && from === undefined && to === undefined)
    throw refused('says no time; give --at TIME, or --from TIME and --to TIME', '--at');
  if (at === undefined && from === undefined) throw refused('is missing; a span needs it beside --to', '--from');
  if (at === undefined && to === undefined) throw refused('is missing; a span needs it beside --from', '--to');
  const moment = (text: string, flag: string) =>
    text === 'now' ? { at: now, note: null } : parseMoment(text, clock, flag);
  const first = moment(at ?? from ?? '', at === undefined ? '--from' : '--at');
  const last = at === undefined ? moment(to ?? '', '--to') : first;
  if (at === undefined && last.at <= first.at) throw refused('must be later than --from', '--to');
  if (last.at - first.at > MOST_DAYS * DAY_MS) throw refused(`is more than ${MOST_DAYS} days after --from`, '--to');
  const notes = at === undefined ? [first.note, last.note] : [first.note];
  return { span: { from: first.at, to: last.at }, notes: notes.filter((note) => note !== null) };
}

function energyOf(kwh: string | undefined): Millijoules | null {
  if (kwh === undefined) return null;
  const value = kwh.trim() === '' ? Number.NaN : Number(kwh);
  if (!(value >= 0 && value <= MOST_KWH))
    throw refused(`needs kilowatt-hours as 1.5, at most ${MOST_KWH}, not "${kwh}"`, '--kwh');
  return Math.round(value * ONE_KWH);
}

function momentLines(
  tariff: ZonedTariff,
  at: EpochMillis,
  energy: Millijoules | null,
  utf8: boolean,
): readonly string[] {
  const { clock, terms, currency } = tariff;
  const holding = tariff.matching(at);
  const winner = holding.at(-1) ?? null;
  const named = holding.map(
    (place) => `${zoneName(terms, place)} (${zoneTimes(terms.zones[place] ?? { price_per_kwh: 0 })})`,
  );
  const why =
    winner === null
      ? 'No zone holds, so the base price does'
      : `${named.length === 1 ? 'One zone holds' : `${named.length} zones hold, and the last wins`}: ${named.join(', ')}`;
  return [
    `${weekdayText(clock, at)} ${momentText(clock, at)}, by the clock of ${clock.timezone}`,
    why,
    `${zoneName(terms, winner)}: ${composition(terms, winner, utf8)} ${currency} a kilowatt-hour`,
    ...(energy === null ? [] : [`${kwhText(energy)} cost ${costText(energy, tariff, { from: at, to: at })}`]),
  ];
}

function spanLines(tariff: ZonedTariff, span: Span, energy: Millijoules): readonly string[] {
  const { clock, terms } = tariff;
  const rows = partsOf(tariff, span, energy).map(({ part, millijoules }) => [
    momentText(clock, part.from),
    momentText(clock, part.to),
    lengthText(part.to - part.from),
    perKwh(decimalOf(part.nano)),
    zoneName(terms, part.zone),
    kwhText(millijoules),
    costText(millijoules, tariff, part),
  ]);
  return [
    `${lengthText(span.to - span.from)}, by the clock of ${clock.timezone}`,
    ...columns(rows).map((row) => `  ${row}`),
    `${kwhText(energy)}, burnt evenly, cost ${costText(energy, tariff, span)}`,
  ];
}

/** Energy in proportion to time, in whole millijoules that add up. */
function partsOf(
  tariff: ZonedTariff,
  span: Span,
  energy: Millijoules,
): readonly { readonly part: Part; readonly millijoules: Millijoules }[] {
  const parts = tariff.parts(span);
  const shares = share(
    energy,
    parts.map(({ from, to }) => to - from),
  );
  return parts.map((part, place) => ({ part, millijoules: shares[place] ?? 0 }));
}

function answerJson(tariff: ZonedTariff, span: Span, energy: Millijoules | null): Record<string, unknown> {
  const { clock, terms, currency } = tariff;
  const cost = (millijoules: Millijoules, over: Span) => {
    const { nano } = priceOf(millijoules, tariff, over);
    return { kwh: millijoules / ONE_KWH, amount: decimalOf(nano), currency, method: tariff.methodIn(over) };
  };
  if (span.from === span.to) {
    const holding = tariff.matching(span.from);
    const [part] = tariff.parts(span);
    return {
      at: momentText(clock, span.from),
      holding: holding.map((place) => zoneName(terms, place)),
      zone: zoneName(terms, part?.zone ?? null),
      all_in_per_kwh: decimalOf(part?.nano ?? 0n),
      ...(energy !== null && { cost: cost(energy, span) }),
    };
  }
  return {
    from: momentText(clock, span.from),
    to: momentText(clock, span.to),
    parts: partsOf(tariff, span, energy ?? ONE_KWH).map(({ part, millijoules }) => ({
      from: momentText(clock, part.from),
      to: momentText(clock, part.to),
      zone: zoneName(terms, part.zone),
      all_in_per_kwh: decimalOf(part.nano),
      cost: cost(millijoules, part),
    })),
    cost: cost(energy ?? ONE_KWH, span),
  };
}

function kwhText(energy: Millijoules): string {
  return `${significant(energy / ONE_KWH)} kWh`;
}

function costText(energy: Millijoules, tariff: ZonedTariff, span: Span): string {
  return money(decimalOf(priceOf(energy, tariff, span).nano), tariff.currency, tariff.methodIn(span));
}

function refused(what: string, place: string): InputError {
  return new InputError(what, { code: 'bad_flag', place });
}
