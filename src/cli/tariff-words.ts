import { allIn, type TariffTerms } from '../cost/tariff-zones.ts';
import type { ZoneTerms } from '../cost/zone.ts';
import { decimalOf } from '../units.ts';

/** What a zone is called: its name, or its place in the configuration; `base` outside of all of them. */
export function zoneName({ zones }: TariffTerms, place: number | null): string {
  return place === null ? 'base' : (zones[place]?.name ?? `zones[${place}]`);
}

/** When a zone holds: `22:00-06:00, mon-fri, oct-mar`. */
export function zoneTimes({ hours, days, months }: ZoneTerms): string {
  const said = [hours, days, months].filter((part) => part !== undefined);
  return said.length === 0 ? 'always' : said.join(', ');
}

/** How a kilowatt-hour comes to its price: `(0.20 + 0.05) × 1.19 = 0.2975`. @param utf8 else plain ASCII */
export function composition(terms: TariffTerms, place: number | null, utf8: boolean): string {
  const { chargesPerKwh, taxPercent } = terms;
  const price = netPrice(terms, place);
  const whole = perKwh(decimalOf(allIn(price, terms)));
  if (chargesPerKwh === 0 && taxPercent === 0) return whole;
  const net = chargesPerKwh === 0 ? perKwh(price) : `${perKwh(price)} + ${perKwh(chargesPerKwh)}`;
  if (taxPercent === 0) return `${net} = ${whole}`;
  const factor = Number((1 + taxPercent / 100).toFixed(11));
  return `${chargesPerKwh === 0 ? net : `(${net})`} ${utf8 ? '×' : 'x'} ${factor} = ${whole}`;
}

/** Without charges and tax. */
export function netPrice({ zones, pricePerKwh }: TariffTerms, place: number | null): number {
  return place === null ? pricePerKwh : (zones[place]?.price_per_kwh ?? pricePerKwh);
}

/** Two decimals, and all that there are, to the nano-unit: sums of them hold as they are printed. */
export function perKwh(price: number): string {
  return price.toFixed(9).replace(/0{1,7}$/, '');
}
