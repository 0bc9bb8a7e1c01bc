import { InputError } from '../errors.ts';
import { decimalOf, nanoOf } from '../units.ts';
import { dividedBy } from './tariff.ts';

const BILLION = 1_000_000_000n;

/**
 * Billionths of what a text says, exactly: no float lies between.
 * @throws InputError `bad_number` for what is no plain decimal, has over nine decimals, or is too large to be kept exactly
 */
export function nanoIn(text: string, place: string): bigint {
  const [, sign, whole, rest = ''] = /^([+-]?)(\d+)(?:\.(\d*))?$/.exec(text.trim()) ?? [];
  if (whole === undefined) {
    const comma = /^[+-]?[\d.]+,\d+$/.test(text.trim())
      ? ': decimals come after a point, and thousands are not parted'
      : '';
    throw refused(`needs a plain decimal number as 12.50, not "${text}"${comma}`, place);
  }
  const digits = rest.replace(/0+$/, '');
  if (digits.length > 9) throw refused(`${text} has more than nine decimals`, place);
  const nano = BigInt(whole) * BILLION + BigInt(digits.padEnd(9, '0'));
  return exact(sign === '-' ? -nano : nano, text, place);
}

/** Quantity x unit cost, both in billionths, to the nearest billionth; halves away from zero. */
export function productOf(quantity: bigint, unitCost: bigint, place: string): bigint {
  return exact(dividedBy(quantity * unitCost, BILLION), 'quantity x unit cost', place);
}

/** Rows carry decimals; what a double cannot say to the ninth is not taken at all. */
function exact(nano: bigint, what: string, place: string): bigint {
  if (nanoOf(decimalOf(nano)) === nano) return nano;
  throw refused(`${what} is too large to be kept to nine decimals; book it in parts`, place);
}

function refused(what: string, place: string): InputError {
  return new InputError(what, { code: 'bad_number', place });
}

/** All of its decimals and no more: `-0.000012458`, `12`. */
export function decimalText(nano: bigint): string {
  const size = nano < 0n ? -nano : nano;
  const rest = (size % BILLION).toString().padStart(9, '0').replace(/0+$/, '');
  return `${nano < 0n ? '-' : ''}${size / BILLION}${rest === '' ? '' : `.${rest}`}`;
}
