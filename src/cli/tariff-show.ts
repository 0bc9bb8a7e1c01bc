import pc from 'picocolors';
import { cheapNow, cheapParts, nextCheap } from '../cost/cheap.ts';
import { dateText, momentText, timeText } from '../cost/clock-text.ts';
import type { Span } from '../cost/tariff.ts';
import { allIn, type Part, type ZonedTariff, zonedTariff } from '../cost/tariff-zones.ts';
import { leaveGap } from '../cost/zone.ts';
import { parseDays } from '../cost/zone-days.ts';
import { decimalOf, type EpochMillis } from '../units.ts';
import type { App } from './app.ts';
import { EXIT } from './exit.ts';
import { priceAssumption } from './prices.ts';
import { columns } from './table.ts';
import { barOf } from './tariff-bar.ts';
import { lengthText, parseDate, weekdayText } from './tariff-time.ts';
import { composition, netPrice, perKwh, zoneName, zoneTimes } from './tariff-words.ts';

export interface TariffShowOptions {
  readonly date?: string;
  readonly json?: boolean;
}

/**
 * What a kilowatt-hour costs today and tomorrow, or on a date and the day after it.
 * @throws InputError `bad_flag`
 */
export function tariffShow(
  { loaded, io, clock }: Pick<App, 'loaded' | 'io' | 'clock'>,
  options: TariffShowOptions,
): number {
  const { tariff: configured, utf8 } = loaded.config;
  const tariff = zonedTariff(configured);
  const now = clock.now();
  const first = tariff.day(options.date === undefined ? now : parseDate(options.date, tariff.clock, '--date'));
  const days = [first, tariff.day(first.to)].map((span) => dayOf(tariff, span));
  const notes = [...priceAssumption(loaded), ...missingHolidays(tariff, first.from)];
  if (options.json === true) {
    const { fixedPerMonth: fixed_per_month } = configured;
    io.out(
      JSON.stringify({
        ...tariffJson(tariff),
        fixed_per_month,
        ...nowJson(tariff, now),
        days: days.map((day) => dayJson(tariff, day)),
        notes,
      }),
    );
    return EXIT.done;
  }
  const { green } = pc.createColors(io.color);
  io.out(`${tariff.currency} a kilowatt-hour by the clock of ${tariff.clock.timezone} (${tariff.id})`);
  if (options.date === undefined) io.out(nowLine(tariff, now));
  for (const day of days) for (const line of dayLines(tariff, day, { days, green, utf8 })) io.out(line);
  if (marksIn(days)) io.out('cheapest: no price of the 24 hours after it is lower; then --when cheap makes pictures');
  for (const line of termLines(tariff, configured.fixedPerMonth, utf8)) io.out(line);
  for (const note of notes) io.out(note);
  return EXIT.done;
}

interface Day {
  readonly span: Span;
  /** Cut where a price changes, and where one ceases to be cheap because a lower one comes within 24 hours. */
  readonly parts: readonly DayPart[];
}

interface DayPart extends Part {
  readonly isCheap: boolean;
}

function dayOf(tariff: ZonedTariff, span: Span): Day {
  const cheap = cheapParts(tariff, span);
  const parts = tariff.parts(span).flatMap((part): DayPart[] => {
    const until = cheap.find(({ from, to }) => from <= part.from && part.from < to)?.to ?? part.from;
    const cut = Math.min(until, part.to);
    return [
      { ...part, to: cut, isCheap: true },
      { ...part, from: cut, isCheap: false },
    ].filter(({ from, to }) => from < to);
  });
  return { span, parts };
}

function nowLine(tariff: ZonedTariff, now: EpochMillis): string {
  const [part] = tariff.parts({ from: now, to: now });
  const next = nextCheap(tariff, now);
  const price = `Now (${momentText(tariff.clock, now)}): ${part === undefined ? '?' : perKwh(decimalOf(part.nano))}`;
  const then = next === null ? '' : `; cheap from ${momentText(tariff.clock, next)}`;
  if (tariff.terms.zones.length === 0) return price;
  return cheapNow(tariff, now) ? `${price}, no lower one in the next 24 hours${then}` : price + then;
}

interface DayLooks {
  /** All that are shown. */
  readonly days: readonly Day[];
  readonly green: (text: string) => string;
  readonly utf8: boolean;
}

function dayLines(tariff: ZonedTariff, day: Day, { days, green, utf8 }: DayLooks): readonly string[] {
  const { clock, terms } = tariff;
  const { span, parts } = day;
  const marked = marksIn(days);
  const isSet =
    parts.some(({ from }) => clock.offset(from) !== clock.offset(span.from)) ||
    clock.offset(span.to) !== clock.offset(span.from);
  const rows = parts.map(({ from, to, nano, zone, isCheap }) => [
    timeText(clock, from, isSet),
    to === span.to ? '24:00' : timeText(clock, to, isSet),
    perKwh(decimalOf(nano)),
    zoneName(terms, zone),
    marked && isCheap ? 'cheapest' : '',
  ]);
  const length = isSet ? `, ${lengthText(span.to - span.from)}` : '';
  return [
    '',
    `${weekdayText(clock, span.from)} ${dateText(clock, span.from)}${length}`,
    ...columns(rows).map((row, place) => `  ${marked && parts[place]?.isCheap === true ? green(row) : row}`),
    ...barOf(clock, day, { shown: days.flatMap(({ parts }) => parts), utf8 }).map((line) => `  ${line}`),
  ];
}

/** Where days have one price and no other, there is none that is the cheapest. */
function marksIn(days: readonly Day[]): boolean {
  const parts = days.flatMap((day) => day.parts);
  return parts.some(({ nano }) => nano !== parts[0]?.nano);
}

function termLines(tariff: ZonedTariff, fixed: number, utf8: boolean): readonly string[] {
  const { terms } = tariff;
  const places = placesOf(terms);
  const rows = places.map((place) => {
    const zone = place === null ? undefined : terms.zones[place];
    return [
      zoneName(terms, place),
      composition(terms, place, utf8),
      zone === undefined ? 'where no zone holds' : zoneTimes(zone),
    ];
  });
  const parts =
    terms.chargesPerKwh === 0 && terms.taxPercent === 0 ? '' : `, (price + charges) ${utf8 ? '×' : 'x'} (1 + tax)`;
  return [
    '',
    `What sets the price${parts}; the last that holds wins:`,
    ...columns(rows).map((row) => `  ${row}`),
    ...(fixed === 0
      ? []
      : [
          `Fixed: ${fixed.toFixed(2)} ${terms.currency} a month, in cash and full cost, in no picture's own electricity`,
        ]),
  ];
}

/** Zones, and the base price where it ever holds. */
function placesOf({ zones, holidays }: ZonedTariff['terms']): readonly (number | null)[] {
  return [...(leaveGap(zones, holidays.length > 0) ? [null] : []), ...zones.keys()];
}

/** A list of holidays that was not kept up makes holidays cost what working days do. */
function missingHolidays({ terms, clock }: ZonedTariff, at: EpochMillis): readonly string[] {
  const year = dateText(clock, at).slice(0, 4);
  const named = terms.zones.some(({ days }) => days !== undefined && parseDays(days).has('holiday'));
  if (!named || terms.holidays.some((date) => date.startsWith(year))) return [];
  return [`! a zone holds on holidays, and tariff.holidays lists none of ${year}`];
}

function tariffJson({ id, currency, method, clock, terms }: ZonedTariff): Record<string, unknown> {
  const places = placesOf(terms);
  return {
    id,
    currency,
    method,
    timezone: clock.timezone,
    charges_per_kwh: terms.chargesPerKwh,
    tax_percent: terms.taxPercent,
    prices: places.map((place) => ({
      zone: zoneName(terms, place),
      price_per_kwh: netPrice(terms, place),
      all_in_per_kwh: decimalOf(allIn(netPrice(terms, place), terms)),
    })),
  };
}

function nowJson(tariff: ZonedTariff, now: EpochMillis): Record<string, unknown> {
  const next = nextCheap(tariff, now);
  return {
    now: momentText(tariff.clock, now),
    cheap_now: cheapNow(tariff, now),
    next_cheap: next === null ? null : momentText(tariff.clock, next),
  };
}

function dayJson({ clock, terms }: ZonedTariff, { span, parts }: Day): Record<string, unknown> {
  return {
    date: dateText(clock, span.from),
    hours: (span.to - span.from) / 3_600_000,
    slices: parts.map(({ from, to, nano, zone, isCheap }) => ({
      from: momentText(clock, from),
      to: momentText(clock, to),
      zone: zoneName(terms, zone),
      all_in_per_kwh: decimalOf(nano),
      cheapest: isCheap,
    })),
  };
}
